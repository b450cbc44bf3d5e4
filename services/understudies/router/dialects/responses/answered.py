"""What a response of OpenAI's answers."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from understudies.events import Response, Usage
from understudies.router.dialects.base import Answered
from understudies.router.dialects.fields import count_of, mapping_of, objects_in, text_of
from understudies.router.dialects.responses.items import call_of
from understudies.router.dialects.said import content_of

_ENDED: Final = frozenset({"completed", "incomplete"})
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
_REASONS: Final = {"max_output_tokens": "length"}


def answered(body: Mapping[str, Any], *, partly: bool = False) -> Answered:
    """What a response says, or with `partly` what it said before it broke off; raises ValueError where it is none."""
    output = body.get("output")
    status = text_of(body.get("status"))
    if not isinstance(output, list) or not (partly or status in _ENDED):
        raise ValueError(f"not an answered response: output is a {type(output).__name__}, status {status!r}")
    items = objects_in(output)
    parts = [part for item in items if item.get("type") == "message" for part in objects_in(item.get("content"))]
    calls = [call_of(item, item["type"]) for item in items if text_of(item.get("type")) in _CALLS]
    content = content_of(_of(parts, "output_text", "text"), _of(parts, "refusal", "refusal"), beside_calls=bool(calls))
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = calls
    finish = _finish(body, status, bool(calls))
    response = Response.model_validate({"message": message, "finish_reason": finish})
    return Answered(response, text_of(body.get("model")), usage_of(body.get("usage")))


def usage_of(usage: Any) -> Usage:
    """Token counts as responses report them; what is missing is zero."""
    if not isinstance(usage, dict):
        return Usage()
    return Usage(
        prompt_tokens=count_of(usage.get("input_tokens")),
        completion_tokens=count_of(usage.get("output_tokens")),
        cached_tokens=count_of(mapping_of(usage.get("input_tokens_details")).get("cached_tokens")),
    )


def _of(parts: Iterable[Mapping[str, Any]], kind: str, field: str) -> list[str]:
    return [text_of(part.get(field)) for part in parts if part.get("type") == kind]


def _finish(body: Mapping[str, Any], status: str, called: bool) -> str | None:
    if status == "completed":
        return "tool_calls" if called else "stop"
    reason = text_of(mapping_of(body.get("incomplete_details")).get("reason"))
    return (_REASONS.get(reason, reason) or "length") if status == "incomplete" else None
