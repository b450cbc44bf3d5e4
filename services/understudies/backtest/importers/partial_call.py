"""A recorded call in the making: the parts of a record that every form has under other names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from understudies.backtest.importers.fields import as_number
from understudies.backtest.importers.json_parsing import NotARecordedCall
from understudies.backtest.importers.messages import decode_messages, decode_tool_calls
from understudies.backtest.importers.responses import decode_answer
from understudies.backtest.recorded_call import RecordedCall
from understudies.events import Message, Request, Response, Usage, fingerprint

_PARAMETERS = (
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "stop",
    "top_k",
    "top_p",
)


@dataclass(slots=True)
class PartialCall:
    """What a form's reader found; `answer` is None where the last message is the answer."""

    messages: object
    answer: object = None
    request: Mapping[str, Any] = field(default_factory=dict)
    tool_calls: object = None
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    cost: Decimal | None = None
    at: datetime | None = None
    task: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    latency_ms: float | None = None
    critical: bool = False
    episode: str | None = None
    trace: str | None = None


def build_recorded_call(partial: PartialCall, line: int) -> RecordedCall:
    """The recorded call in a draft; raises NotARecordedCall."""
    asked = _system_messages(partial.request) + decode_messages(partial.messages)
    response = decode_answer(partial.answer)
    if response is None:
        asked, response = _split_answer(asked, partial.tool_calls)
    if not asked:
        raise NotARecordedCall("no request before the answer")
    if response.message.content is None and not response.message.tool_calls:
        raise NotARecordedCall("no teacher answer")
    request = _build_request(asked, partial.request)
    return RecordedCall(
        line=line,
        at=partial.at,
        task=partial.task,
        request=request,
        response=response,
        model=partial.model,
        usage=partial.usage,
        recorded_cost=partial.cost,
        latency_ms=max(partial.latency_ms or 0.0, 0.0),
        tags=partial.tags,
        critical=partial.critical,
        fingerprint=fingerprint(request),
        episode=partial.episode,
        trace=partial.trace,
    )


def _system_messages(request: Mapping[str, Any]) -> list[Message]:
    """The system prompt that some APIs take beside the messages."""
    system = request.get("system", request.get("instructions"))
    if not isinstance(system, str | list) or not system:
        return []
    return decode_messages([{"role": "system", "content": system}])


def _split_answer(messages: list[Message], tool_calls: object) -> tuple[list[Message], Response]:
    calls = decode_tool_calls(tool_calls)
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant":
        if calls and not last.tool_calls:
            last = last.model_copy(update={"tool_calls": calls})
        return messages[:-1], Response(message=last)
    if calls:
        return messages, Response(message=Message(role="assistant", tool_calls=calls))
    raise NotARecordedCall("no teacher answer")


def _build_request(messages: list[Message], body: Mapping[str, Any]) -> Request:
    response_format = body.get("response_format")
    return Request(
        messages=tuple(messages),
        tools=_decode_tools(body),
        tool_choice=body.get("tool_choice"),
        response_format=response_format if isinstance(response_format, dict) else None,
        temperature=as_number(body.get("temperature")),
        parameters={name: body[name] for name in _PARAMETERS if body.get(name) is not None},
    )


def _decode_tools(body: Mapping[str, Any]) -> tuple[dict[str, Any], ...] | None:
    """The declared tools as the chat completions API has them; older functions and other APIs' forms too."""
    value = body.get("tools") or body.get("functions")
    if not isinstance(value, list):
        return None
    return tuple(_decode_tool(tool) for tool in value if isinstance(tool, dict)) or None


def _decode_tool(tool: dict[str, Any]) -> dict[str, Any]:
    if "function" in tool or not isinstance(tool.get("name"), str):
        return tool
    function = {key: tool[key] for key in ("name", "description", "parameters") if key in tool}
    if "input_schema" in tool:
        function["parameters"] = tool["input_schema"]
    return {"type": "function", "function": function}
