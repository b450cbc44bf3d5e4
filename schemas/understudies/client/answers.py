"""From what a teacher returned to the answer, its usage and the model that gave it."""

from dataclasses import dataclass, field
from typing import Any

from understudies.client.errors import NotRecorded
from understudies.client.messages import message_of
from understudies.client.plain import get, json_text
from understudies.events import Message, Response, Usage
from understudies.events.request import MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Answered:
    """A teacher's answer as contracts."""

    response: Response
    usage: Usage = field(default_factory=Usage)
    model: str = ""


def answered(answer: Any) -> Answered:
    """Read an answer of any known form; raises NotRecorded or pydantic's ValidationError."""
    if answer is None:
        raise NotRecorded("unreadable", "the teacher returned None")
    choices = get(answer, "choices")
    if isinstance(choices, list | tuple) and choices:
        return _completion(answer, choices[0])
    if _is_message(answer):
        return _message(answer)
    return Answered(Response(message=Message(role="assistant", content=json_text(answer))))


def usage_of(usage: Any) -> Usage:
    """Token counts in OpenAI's, Anthropic's or LangChain's names."""
    if usage is None:
        return Usage()
    details = get(usage, "prompt_tokens_details") or get(usage, "input_token_details")
    read, written = (_count(get(usage, f"cache_{what}_input_tokens")) for what in ("read", "creation"))
    prompt = get(usage, "prompt_tokens")
    # Anthropic counts only what was not in the cache as input.
    prompt_tokens = _count(get(usage, "input_tokens")) + read + written if prompt is None else _count(prompt)
    completion = get(usage, "completion_tokens")
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=_count(get(usage, "output_tokens") if completion is None else completion),
        cached_tokens=read or _count(get(details, "cached_tokens")) or _count(get(details, "cache_read")),
    )


def _completion(answer: Any, choice: Any) -> Answered:
    message = get(choice, "message")
    if message is None:
        text = get(choice, "text")
        if not isinstance(text, str):
            raise NotRecorded("unreadable", "a choice without a message")
        message = {"content": text}
    return Answered(
        _response(message, get(choice, "finish_reason")), usage_of(get(answer, "usage")), _name(get(answer, "model"))
    )


def _is_message(answer: Any) -> bool:
    if isinstance(answer, dict):
        return "content" in answer and ("role" in answer or "stop_reason" in answer)
    return isinstance(getattr(answer, "content", None), str | list)


def _message(answer: Any) -> Answered:
    about = get(answer, "response_metadata") or {}
    return Answered(
        _response(answer, get(answer, "stop_reason") or get(about, "finish_reason")),
        usage_of(get(answer, "usage_metadata") or get(answer, "usage")),
        _name(get(answer, "model") or get(about, "model_name") or get(about, "model")),
    )


def _response(message: Any, finish_reason: Any) -> Response:
    read = list(message_of("assistant", message))
    return Response.model_validate(
        {"message": read[-1], "finish_reason": finish_reason if isinstance(finish_reason, str) else None}
    )


def _name(model: Any) -> str:
    return model if isinstance(model, str) else ""


def _count(number: Any) -> int:
    return number if isinstance(number, int) and 0 < number <= MAX_TOKENS else 0
