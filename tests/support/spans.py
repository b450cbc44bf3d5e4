"""Spans of model calls as instrumentations send them, in OTLP's JSON."""

import json
from typing import Any, Final

START: Final = 1_760_000_000_000_000_000
"""9 October 2025, in nanoseconds."""
Attributes = dict[str, str | int]
QUESTION: Final = "Where is my card?"
ANSWER: Final = "lost-card"


def any_value(value: str | int) -> dict[str, Any]:
    """A value as OTLP writes it."""
    return {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}


def span(attributes: Attributes, number: int = 1, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    """A span with an id; inner ones begin later and end earlier, as they have higher numbers."""
    return {
        "traceId": f"{7:032x}",
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": "call",
        "startTimeUnixNano": str(START + number * 1_000_000),
        "endTimeUnixNano": str(START + 2_000_000_000 - number * 1_000_000),
        "attributes": [{"key": name, "value": any_value(value)} for name, value in attributes.items()],
        **fields,
    }


def export(*spans: dict[str, Any]) -> dict[str, Any]:
    """A request to export spans."""
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "test"}, "spans": list(spans)}]}]}


def genai(question: str = QUESTION, answer: str = ANSWER, **more: str | int) -> Attributes:
    """The attributes of OpenTelemetry's conventions for GenAI, with the content on the span."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "understudies.task": "triage",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": question}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}]
        ),
        **more,
    }


def openinference(question: str = QUESTION, answer: str = ANSWER) -> Attributes:
    """The attributes of OpenInference."""
    return {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o-mini",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": question,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": answer,
        "llm.token_count.prompt": 12,
        "llm.token_count.completion": 3,
    }


def openllmetry(question: str = QUESTION, answer: str = ANSWER) -> Attributes:
    """The attributes of OpenLLMetry before it took the conventions of GenAI."""
    return {
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": question,
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": answer,
        "gen_ai.completion.0.finish_reason": "stop",
        "gen_ai.usage.prompt_tokens": 12,
        "gen_ai.usage.completion_tokens": 3,
    }
