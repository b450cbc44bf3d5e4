"""What a message of Anthropic's answers."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.events import Response, Usage
from understudies.router.dialects.base import DecodedResponse
from understudies.router.dialects.fields import list_objects, text_or_empty, token_count
from understudies.router.dialects.messages.blocks import decode_tool_call
from understudies.router.dialects.said import build_content

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def decode_response(body: Mapping[str, Any]) -> DecodedResponse:
    """What a message says; raises ValueError where it is none."""
    content = body.get("content")
    if not isinstance(content, list) or body.get("type", "message") != "message":
        raise ValueError(
            f"not a message: content is a {type(content).__name__}, type {text_or_empty(body.get('type'))!r}"
        )
    blocks = list_objects(content)
    texts = [text_or_empty(block.get("text")) for block in blocks if block.get("type") == "text"]
    calls = [decode_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    message: dict[str, Any] = {"role": "assistant", "content": build_content(texts, [], beside_calls=bool(calls))}
    if calls:
        message["tool_calls"] = calls
    reason = body.get("stop_reason")
    finish = FINISH_REASONS.get(reason, reason) if isinstance(reason, str) else None
    response = Response.model_validate({"message": message, "finish_reason": finish})
    return DecodedResponse(response, text_or_empty(body.get("model")), decode_usage(body.get("usage")))


def decode_usage(usage: Any) -> Usage:
    """Token counts as Anthropic reports them, whose input is what the cache had no part in."""
    if not isinstance(usage, dict):
        return Usage()
    read = token_count(usage.get("cache_read_input_tokens"))
    fresh = token_count(usage.get("input_tokens")) + token_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=fresh + read, completion_tokens=token_count(usage.get("output_tokens")), cached_tokens=read
    )
