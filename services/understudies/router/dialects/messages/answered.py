"""What a message of Anthropic's answers."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.events import Response, Usage
from understudies.router.dialects.base import Answered
from understudies.router.dialects.fields import count_of, objects_in, text_of
from understudies.router.dialects.messages.blocks import call_of
from understudies.router.dialects.said import content_of

FINISH_OF: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def answered(body: Mapping[str, Any]) -> Answered:
    """What a message says; raises ValueError where it is none."""
    content = body.get("content")
    if not isinstance(content, list) or body.get("type", "message") != "message":
        raise ValueError(f"not a message: content is a {type(content).__name__}, type {text_of(body.get('type'))!r}")
    blocks = objects_in(content)
    texts = [text_of(block.get("text")) for block in blocks if block.get("type") == "text"]
    calls = [call_of(block) for block in blocks if block.get("type") == "tool_use"]
    message: dict[str, Any] = {"role": "assistant", "content": content_of(texts, [], beside_calls=bool(calls))}
    if calls:
        message["tool_calls"] = calls
    reason = body.get("stop_reason")
    finish = FINISH_OF.get(reason, reason) if isinstance(reason, str) else None
    response = Response.model_validate({"message": message, "finish_reason": finish})
    return Answered(response, text_of(body.get("model")), usage_of(body.get("usage")))


def usage_of(usage: Any) -> Usage:
    """Token counts as Anthropic reports them, whose input is what the cache had no part in."""
    if not isinstance(usage, dict):
        return Usage()
    read = count_of(usage.get("cache_read_input_tokens"))
    fresh = count_of(usage.get("input_tokens")) + count_of(usage.get("cache_creation_input_tokens"))
    return Usage(prompt_tokens=fresh + read, completion_tokens=count_of(usage.get("output_tokens")), cached_tokens=read)
