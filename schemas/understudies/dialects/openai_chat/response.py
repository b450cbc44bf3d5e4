"""Decode answers of OpenAI's Chat Completions, and encode canonical responses, whole or as chunks."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from understudies.dialects.answer_errors import FAILED_REASONS, AnswerError, answer_error, complaint
from understudies.dialects.assistant_message import message_text, refusal_text, tool_call_id
from understudies.dialects.base import DecodedResponse
from understudies.dialects.json_fields import (
    index_or_zero,
    list_objects,
    object_or_empty,
    text_or_empty,
    token_count,
)
from understudies.dialects.openai_chat.request import (
    gather_parts,
    replace_function_call,
    tool_call_dict,
    write_arguments,
)
from understudies.dialects.sse import encode_event
from understudies.dialects.usage import read_details, reasoning_apart
from understudies.events import Response, Usage

_RESPONSE: Final = Response.__pydantic_validator__
_USAGE: Final = Usage.__pydantic_validator__
"""The validator behind `model_validate`, used directly as the method's options take a third of its time."""


def decode_response(body: Mapping[str, Any]) -> DecodedResponse:
    """Decode the first choice of a chat completion.

    Raises ValueError if there is none, and AnswerError if the body or the choice reports an error.
    """
    try:
        choices = body["choices"]
        choice = choices[0] if len(choices) == 1 else min(choices, key=lambda one: index_or_zero(one.get("index")))
        message = {**choice["message"], "role": "assistant"}
        finish_reason = choice.get("finish_reason")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise complaint(body) or ValueError(f"not a chat completion: {error!r}") from error
    if body.get("error") or choice.get("error"):
        raise answer_error(body.get("error") or choice["error"])
    if isinstance(finish_reason, str) and finish_reason in FAILED_REASONS:
        raise AnswerError(f"the answer ended with {finish_reason!r}")
    if "function_call" in message:
        message = replace_function_call(message)
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    message = gather_parts(message)
    try:
        response = _RESPONSE.validate_python({"message": message, "finish_reason": finish_reason})
    except ValidationError:
        # Some servers write tool arguments as objects, or ids as null.
        if (written := write_arguments(message)) is message:
            raise
        response = _RESPONSE.validate_python({"message": written, "finish_reason": finish_reason})
    return DecodedResponse(response, text_or_empty(body.get("model")), _read_usage(body))


def _read_usage(body: Mapping[str, Any]) -> Usage:
    return decode_usage(body.get("usage"), body.get("service_tier"))


def decode_usage(usage: Any, tier: Any = None) -> Usage:
    """Decode token counts as chat completions report them; missing counts are zero."""
    if not isinstance(usage, dict):
        return Usage()
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    reasons = isinstance(completion, dict) and completion.get("reasoning_tokens")
    counts = {
        "prompt_tokens": token_count(usage.get("prompt_tokens")),
        "completion_tokens": token_count(usage.get("completion_tokens")) + (reasoning_apart(usage) if reasons else 0),
        "cached_tokens": token_count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else 0,
        "details": read_details(usage, tier),
    }
    counted: Usage = _USAGE.validate_python(counts)
    return counted


DONE: Final = b"data: [DONE]\n\n"
_FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


def encode_response(call_id: str, at: datetime, model: str, response: Response, usage: Usage) -> dict[str, Any]:
    """Encode a response as a chat completion."""
    said = response.message
    message: dict[str, Any] = {"role": "assistant", "content": message_text(said), "refusal": refusal_text(said)}
    if said.tool_calls:
        message["tool_calls"] = [
            tool_call_dict(tool, tool_call_id(tool, call_id, place)) for place, tool in enumerate(said.tool_calls)
        ]
    finish = response.finish_reason
    return {
        "id": f"chatcmpl-{call_id}",
        "object": "chat.completion",
        "created": int(at.timestamp()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": finish if finish in _FINISH_REASONS else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        },
    }


def encode_stream(body: Mapping[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """Encode a whole chat completion as chunks: one with the role, one with the answer, one with the finish reason."""
    head = {key: value for key, value in body.items() if key not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    if include_usage:
        head["usage"] = None
    choices = [(choice, _message_delta(choice)) for choice in list_objects(body.get("choices"))]
    yield encode_event({**head, "choices": [_chunk_choice(choice, _opening_delta(delta)) for choice, delta in choices]})
    yield encode_event(
        {**head, "choices": [_chunk_choice(choice, delta, choice.get("logprobs")) for choice, delta in choices]}
    )
    yield encode_event(
        {**head, "choices": [{**_chunk_choice(c, {}), "finish_reason": c.get("finish_reason")} for c, _ in choices]}
    )
    if include_usage:
        yield encode_event({**head, "choices": [], "usage": body.get("usage")})
    yield DONE


def _chunk_choice(choice: Mapping[str, Any], delta: Mapping[str, Any], logprobs: Any = None) -> dict[str, Any]:
    return {"index": choice.get("index", 0), "delta": delta, "logprobs": logprobs, "finish_reason": None}


def _opening_delta(delta: Mapping[str, Any]) -> dict[str, Any]:
    content = "" if isinstance(delta.get("content"), str) else None
    return {"role": "assistant", "content": content, "refusal": None}


def _message_delta(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a message to one delta: without empty fields, and with its tool calls numbered."""
    message = object_or_empty(choice.get("message"))
    delta = {key: value for key, value in message.items() if key != "role" and value is not None}
    if "tool_calls" in delta:
        calls = list_objects(delta["tool_calls"])
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    return delta
