"""A response of the router's own as one of OpenAI's."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from understudies.events import Message, Response, Usage
from understudies.router.dialects.said import message_text, refusal_text, tool_call_id

_INCOMPLETE_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED_FIELDS: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and what it says where the request did not."""


def encode_response(
    call_id: str, at: datetime, model: str, response: Response, usage: Usage, request_body: Mapping[str, Any]
) -> dict[str, Any]:
    """The response that carries an answer."""
    name = call_id.replace("-", "")
    finish = response.finish_reason
    reason = _INCOMPLETE_REASONS.get(finish) if finish else None
    status = "completed" if reason is None else "incomplete"
    at_s = int(at.timestamp())
    given = {field: request_body[field] for field in _ECHOED_FIELDS if request_body.get(field) is not None}
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": at_s,
        "status": status,
        "background": False,
        "completed_at": at_s if reason is None else None,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "model": model,
        **_ECHOED_FIELDS,
        **given,
        "output": [*_output_items(name, response.message, status)],
        "usage": {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": usage.cached_tokens},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }


def _output_items(name: str, said: Message, status: str) -> Iterator[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    text, refusal = message_text(said), refusal_text(said)
    if text is not None:
        parts.append({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
    if refusal is not None:
        parts.append({"type": "refusal", "refusal": refusal})
    if parts:
        yield {"id": f"msg_{name}", "type": "message", "status": status, "role": "assistant", "content": parts}
    for place, tool in enumerate(said.tool_calls or ()):
        called = {"call_id": tool_call_id(tool, name, place), "name": tool.function.name}
        if tool.type == "custom":
            yield {"id": f"ctc_{name}{place}", "type": "custom_tool_call", **called, "input": tool.function.arguments}
        else:
            given = {"arguments": tool.function.arguments, "status": status}
            yield {"id": f"fc_{name}{place}", "type": "function_call", **called, **given}
