"""What a response of OpenAI's answers."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from understudies.events import Response, Usage
from understudies.router.dialects.base import DecodedResponse
from understudies.router.dialects.fields import list_objects, object_or_empty, text_or_empty, token_count
from understudies.router.dialects.responses.items import decode_tool_call
from understudies.router.dialects.said import build_content

_FINAL_STATUSES: Final = frozenset({"completed", "incomplete"})
_TOOL_CALL_ITEMS: Final = frozenset({"function_call", "custom_tool_call"})
_FINISH_REASONS: Final = {"max_output_tokens": "length"}


def decode_response(body: Mapping[str, Any], *, partial: bool = False) -> DecodedResponse:
    """What a response says, or with `partly` what it said before it broke off; raises ValueError where it is none."""
    output = body.get("output")
    status = text_or_empty(body.get("status"))
    if not isinstance(output, list) or not (partial or status in _FINAL_STATUSES):
        raise ValueError(f"not an answered response: output is a {type(output).__name__}, status {status!r}")
    items = list_objects(output)
    parts = [part for item in items if item.get("type") == "message" for part in list_objects(item.get("content"))]
    calls = [
        decode_tool_call(item, item["type"]) for item in items if text_or_empty(item.get("type")) in _TOOL_CALL_ITEMS
    ]
    content = build_content(
        _part_texts(parts, "output_text", "text"), _part_texts(parts, "refusal", "refusal"), beside_calls=bool(calls)
    )
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = calls
    finish = _finish(body, status, bool(calls))
    response = Response.model_validate({"message": message, "finish_reason": finish})
    return DecodedResponse(response, text_or_empty(body.get("model")), decode_usage(body.get("usage")))


def decode_usage(usage: Any) -> Usage:
    """Token counts as responses report them; what is missing is zero."""
    if not isinstance(usage, dict):
        return Usage()
    return Usage(
        prompt_tokens=token_count(usage.get("input_tokens")),
        completion_tokens=token_count(usage.get("output_tokens")),
        cached_tokens=token_count(object_or_empty(usage.get("input_tokens_details")).get("cached_tokens")),
    )


def _part_texts(parts: Iterable[Mapping[str, Any]], kind: str, field: str) -> list[str]:
    return [text_or_empty(part.get(field)) for part in parts if part.get("type") == kind]


def _finish(body: Mapping[str, Any], status: str, called: bool) -> str | None:
    if status == "completed":
        return "tool_calls" if called else "stop"
    reason = text_or_empty(object_or_empty(body.get("incomplete_details")).get("reason"))
    return (_FINISH_REASONS.get(reason, reason) or "length") if status == "incomplete" else None
