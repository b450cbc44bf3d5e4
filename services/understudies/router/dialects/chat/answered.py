"""What a chat completion answers."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.events import Response, Usage
from understudies.router.dialects.base import DecodedResponse
from understudies.router.dialects.fields import object_or_empty, text_or_empty, token_count

_RESPONSE: Final = Response.__pydantic_validator__
_USAGE: Final = Usage.__pydantic_validator__
"""What `model_validate` asks, whose options take a third of its time."""


def decode_response(body: Mapping[str, Any]) -> DecodedResponse:
    """The first choice of a chat completion; raises ValueError where there is none."""
    try:
        choice = body["choices"][0]
        message = {**choice["message"], "role": "assistant"}
        finish_reason = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a chat completion: {error!r}") from error
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    if message.get("refusal"):
        message["content"] = [
            *_content_parts(message.get("content")),
            {"type": "refusal", "refusal": message["refusal"]},
        ]
    response = _RESPONSE.validate_python({"message": message, "finish_reason": finish_reason})
    return DecodedResponse(response, text_or_empty(body.get("model")), decode_usage(body.get("usage")))


def decode_usage(usage: Any) -> Usage:
    """Token counts as chat completions report them; what is missing is zero."""
    if not isinstance(usage, dict):
        return Usage()
    counts = {
        "prompt_tokens": token_count(usage.get("prompt_tokens")),
        "completion_tokens": token_count(usage.get("completion_tokens")),
        "cached_tokens": token_count(object_or_empty(usage.get("prompt_tokens_details")).get("cached_tokens")),
    }
    counted: Usage = _USAGE.validate_python(counts)
    return counted


def _content_parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []
