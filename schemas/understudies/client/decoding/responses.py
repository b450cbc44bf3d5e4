"""From what a teacher returned to the answer, its usage and the model that gave it."""

from dataclasses import dataclass, field
from typing import Any

from understudies.client.decoding.json_values import get_field, to_json_text
from understudies.client.decoding.messages import decode_message
from understudies.client.errors import NotRecorded
from understudies.events import Message, Response, Usage
from understudies.events.request import MAX_TOKENS


@dataclass(frozen=True, slots=True)
class DecodedAnswer:
    """A teacher's answer as contracts."""

    response: Response
    usage: Usage = field(default_factory=Usage)
    model: str = ""


def decode_answer(answer: Any) -> DecodedAnswer:
    """Read an answer of any known form; raises NotRecorded or pydantic's ValidationError."""
    if answer is None:
        raise NotRecorded("unreadable", "the teacher returned None")
    choices = get_field(answer, "choices")
    if isinstance(choices, list | tuple) and choices:
        return _decode_completion(answer, choices[0])
    if _is_message(answer):
        return _decode_message_object(answer)
    return DecodedAnswer(Response(message=Message(role="assistant", content=to_json_text(answer))))


def decode_usage(usage: Any) -> Usage:
    """Token counts in OpenAI's, Anthropic's or LangChain's names."""
    if usage is None:
        return Usage()
    details = get_field(usage, "prompt_tokens_details") or get_field(usage, "input_token_details")
    read, written = (_token_count(get_field(usage, f"cache_{what}_input_tokens")) for what in ("read", "creation"))
    prompt = get_field(usage, "prompt_tokens")
    # Anthropic counts only what was not in the cache as input.
    prompt_tokens = (
        _token_count(get_field(usage, "input_tokens")) + read + written if prompt is None else _token_count(prompt)
    )
    completion = get_field(usage, "completion_tokens")
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=_token_count(get_field(usage, "output_tokens") if completion is None else completion),
        cached_tokens=read
        or _token_count(get_field(details, "cached_tokens"))
        or _token_count(get_field(details, "cache_read")),
    )


def _decode_completion(answer: Any, choice: Any) -> DecodedAnswer:
    message = get_field(choice, "message")
    if message is None:
        text = get_field(choice, "text")
        if not isinstance(text, str):
            raise NotRecorded("unreadable", "a choice without a message")
        message = {"content": text}
    return DecodedAnswer(
        _build_response(message, get_field(choice, "finish_reason")),
        decode_usage(get_field(answer, "usage")),
        _model_name(get_field(answer, "model")),
    )


def _is_message(answer: Any) -> bool:
    if isinstance(answer, dict):
        return "content" in answer and ("role" in answer or "stop_reason" in answer)
    return isinstance(getattr(answer, "content", None), str | list)


def _decode_message_object(answer: Any) -> DecodedAnswer:
    about = get_field(answer, "response_metadata") or {}
    return DecodedAnswer(
        _build_response(answer, get_field(answer, "stop_reason") or get_field(about, "finish_reason")),
        decode_usage(get_field(answer, "usage_metadata") or get_field(answer, "usage")),
        _model_name(get_field(answer, "model") or get_field(about, "model_name") or get_field(about, "model")),
    )


def _build_response(message: Any, finish_reason: Any) -> Response:
    read = list(decode_message("assistant", message))
    return Response.model_validate(
        {"message": read[-1], "finish_reason": finish_reason if isinstance(finish_reason, str) else None}
    )


def _model_name(model: Any) -> str:
    return model if isinstance(model, str) else ""


def _token_count(number: Any) -> int:
    return number if isinstance(number, int) and 0 < number <= MAX_TOKENS else 0
