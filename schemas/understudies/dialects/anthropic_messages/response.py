"""Decode answers of Anthropic's Messages, and encode canonical responses as such."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.dialects.answer_errors import FAILED_REASONS, answer_error, complaint
from understudies.dialects.anthropic_messages.request import decode_tool_call
from understudies.dialects.assistant_message import build_content, message_text, refusal_text, tool_call_id
from understudies.dialects.base import DecodedResponse
from understudies.dialects.json_fields import (
    list_objects,
    object_or_empty,
    parse_object_text,
    text_or_empty,
    token_count,
)
from understudies.dialects.usage import read_details, with_iterations
from understudies.events import Response, ToolCall, Usage

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def decode_response(body: Mapping[str, Any]) -> DecodedResponse:
    """Decode a message; raises ValueError if it is not one, and AnswerError if it reports an error."""
    given = body.get("content")
    if not isinstance(given, list) or body.get("type", "message") != "message":
        raise complaint(body) or ValueError(
            f"not a message: content is a {type(given).__name__}, type {text_or_empty(body.get('type'))!r}"
        )
    blocks = list_objects(given)
    texts = [text_or_empty(block.get("text")) for block in blocks if block.get("type") == "text"]
    calls = [decode_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    refusals = [] if any(texts) else _refusals(body)
    # A refusal may come without a word: that is no answer, not an empty one.
    is_mute = not (any(texts) or refusals or calls) and body.get("stop_reason") == "refusal"
    content = None if is_mute else build_content(texts, refusals)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = calls
    reason = body.get("stop_reason")
    if body.get("error") or (isinstance(reason, str) and reason in FAILED_REASONS):
        raise answer_error(body.get("error"), f"the answer ended with {reason!r}")
    finish = FINISH_REASONS.get(reason, reason) if isinstance(reason, str) else None
    response = Response.model_validate({"message": message, "finish_reason": finish})
    return DecodedResponse(response, text_or_empty(body.get("model")), decode_usage(body.get("usage")))


def _refusals(body: Mapping[str, Any]) -> list[str]:
    """Return the explanation of a refusal that says nothing else."""
    explanation = text_or_empty(object_or_empty(body.get("stop_details")).get("explanation"))
    return [explanation] if explanation and body.get("stop_reason") == "refusal" else []


def decode_usage(usage: Any) -> Usage:
    """Decode token counts as Anthropic reports them, whose `input_tokens` exclude cache reads and cache writes.

    They count as unknown if another model took part in the answer, as one price is not that of all.
    """
    if not isinstance(usage, dict):
        return Usage()
    if usage.get("iterations"):
        counted = with_iterations(usage)
        return Usage() if counted is None else decode_usage({**counted, "iterations": None})
    read = token_count(usage.get("cache_read_input_tokens"))
    fresh = token_count(usage.get("input_tokens")) + token_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=fresh + read,
        completion_tokens=token_count(usage.get("output_tokens")),
        cached_tokens=read,
        details=read_details(usage),
    )


_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def encode_response(call_id: str, model: str, response: Response, usage: Usage) -> dict[str, Any]:
    """Encode a response as a message."""
    said = response.message
    text = message_text(said) or refusal_text(said)
    content: list[dict[str, Any]] = [{"type": "text", "text": text, "citations": None}] if text else []
    content += [_tool_use(tool, call_id, place) for place, tool in enumerate(said.tool_calls or ())]
    finish = response.finish_reason or "stop"
    reason = finish if finish == "pause_turn" else _STOP_REASONS.get(finish, "end_turn")
    return {
        "id": f"msg_{call_id.replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(usage.prompt_tokens - usage.cached_tokens, 0),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.completion_tokens,
        },
    }


def _tool_use(tool: ToolCall, call: str, place: int) -> dict[str, Any]:
    given = parse_object_text(tool.function.arguments)
    return {
        "type": "tool_use",
        "id": tool_call_id(tool, call, place, "toolu"),
        "name": tool.function.name,
        "input": {"input": tool.function.arguments} if given is None else given,
    }
