"""Decode answers of OpenAI's Responses, and encode canonical responses as such."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from understudies.dialects.answer_errors import answer_error, complaint
from understudies.dialects.assistant_message import build_content, message_text, refusal_text, tool_call_id
from understudies.dialects.base import DecodedResponse
from understudies.dialects.json_fields import list_objects, object_or_empty, text_or_empty, token_count
from understudies.dialects.openai_responses.request import decode_tool_call
from understudies.dialects.usage import read_details
from understudies.events import Message, Response, Usage

_FAILED_STATUSES: Final = frozenset({"failed", "cancelled"})
_FINAL_STATUSES: Final = frozenset({"completed", "incomplete"})
_TOOL_CALL_ITEMS: Final = frozenset({"function_call", "custom_tool_call"})
_FINISH_REASONS: Final = {"max_output_tokens": "length"}
_CLIENT_ITEMS: Final = frozenset(
    {"computer_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_approval_request"}
)
"""Items to which the caller answers in its next request, and for which a chat has no form.

See https://platform.openai.com/docs/guides/tools-apply-patch and the guides of the other tools beside it.
"""
_CLIENT_EXECUTION: Final = "client"
_GOES_ON: Final = "pause_turn"


def decode_response(body: Mapping[str, Any], *, partial: bool = False) -> DecodedResponse:
    """Decode a response, or with `partial` one that was cut off.

    Raises ValueError if it is not one, and AnswerError if it reports an error.
    """
    output = body.get("output")
    status = text_or_empty(body.get("status"))
    if not partial and (body.get("error") or status in _FAILED_STATUSES):
        raise answer_error(body.get("error"), f"the response is {status}")
    if not status and output and not partial:
        status = "completed"  # some servers leave it out
    if not isinstance(output, list) or not (partial or status in _FINAL_STATUSES):
        told = complaint(body) if output is None and not status else None
        raise told or ValueError(f"not an answered response: output is a {type(output).__name__}, status {status!r}")
    items = list_objects(output)
    parts = [part for item in items if item.get("type") == "message" for part in list_objects(item.get("content"))]
    calls = [
        decode_tool_call(item, item["type"]) for item in items if text_or_empty(item.get("type")) in _TOOL_CALL_ITEMS
    ]
    content = build_content(_part_texts(parts, "output_text", "text"), _part_texts(parts, "refusal", "refusal"))
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = calls
    finish = _finish(body, status, bool(calls), awaits_client=_awaits_client(items))
    response = Response.model_validate({"message": message, "finish_reason": finish})
    return DecodedResponse(response, text_or_empty(body.get("model")), _read_usage(body, items))


def _read_usage(body: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> Usage:
    searches = count_web_searches(items)
    return decode_usage(body.get("usage"), body.get("service_tier"), searches)


def count_web_searches(items: Iterable[Mapping[str, Any]]) -> int:
    """Count the searches of the web that have a price: opening a page and finding a text in it have none.

    See https://platform.openai.com/docs/guides/tools-web-search: "Search actions incur a tool call cost".
    """
    return sum(
        1
        for item in items
        if item.get("type") == "web_search_call"
        and item.get("status") != "failed"
        and object_or_empty(item.get("action")).get("type", "search") == "search"
    )


def decode_usage(usage: Any, tier: Any = None, web_searches: int = 0) -> Usage:
    """Decode token counts as Responses report them; missing counts are zero."""
    if not isinstance(usage, dict):
        return Usage()
    return Usage(
        prompt_tokens=token_count(usage.get("input_tokens")),
        completion_tokens=token_count(usage.get("output_tokens")),
        cached_tokens=token_count(object_or_empty(usage.get("input_tokens_details")).get("cached_tokens")),
        details=read_details(usage, tier, web_searches),
    )


def _part_texts(parts: Iterable[Mapping[str, Any]], kind: str, field: str) -> list[str]:
    return [text_or_empty(part.get(field)) for part in parts if part.get("type") == kind]


def _awaits_client(items: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether the caller has to do something, other than to run a function, before the turn goes on."""
    asked = [item for item in items if _is_for_client(item)]
    if not asked:
        return False
    # A tool that has run where the provider hosts it has its output beside it.
    done = {text_or_empty(item.get("call_id")) for item in items if text_or_empty(item.get("type")).endswith("_output")}
    return any(text_or_empty(item.get("call_id")) not in done - {""} for item in asked)


def _is_for_client(item: Mapping[str, Any]) -> bool:
    kind = text_or_empty(item.get("type"))
    return kind in _CLIENT_ITEMS or (kind == "tool_search_call" and item.get("execution") == _CLIENT_EXECUTION)


def _finish(body: Mapping[str, Any], status: str, called: bool, *, awaits_client: bool) -> str | None:
    if status == "completed":
        if awaits_client:
            return _GOES_ON
        return "tool_calls" if called else "stop"
    reason = text_or_empty(object_or_empty(body.get("incomplete_details")).get("reason"))
    return (_FINISH_REASONS.get(reason, reason) or "length") if status == "incomplete" else None


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
"""Request fields that a response echoes, with their defaults if the request does not set them."""


def encode_response(
    call_id: str, at: datetime, model: str, response: Response, usage: Usage, request_body: Mapping[str, Any]
) -> dict[str, Any]:
    """Encode an answer as a response."""
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
