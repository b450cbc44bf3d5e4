"""OpenAI's chat completions as they travel: answers, chunks and errors."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from understudies.events import Request, Response, Usage

MAX_DEPTH = 100
"""Deepest nesting of a request's JSON."""


def request_body(request: Request, model: str) -> dict[str, Any]:
    """The body that asks a model for the answer to a request."""
    asked = request.model_dump(mode="json", exclude_none=True)
    return {"model": model, **asked.pop("parameters"), **asked}


def answer_of(body: Mapping[str, Any]) -> tuple[Response, str, Usage]:
    """The response, model and usage in the body of a chat completion; raises ValueError where it is none."""
    try:
        choice = body["choices"][0]
        message = {"role": "assistant", **choice["message"]}
        response = Response.model_validate({"message": message, "finish_reason": choice.get("finish_reason")})
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a chat completion: {error!r}") from error
    model = body.get("model")
    return response, model if isinstance(model, str) else "", usage_of(body.get("usage"))


def usage_of(usage: Any) -> Usage:
    """Token counts as OpenAI reports them; what is missing is zero."""
    if not isinstance(usage, Mapping):
        return Usage()
    details = usage.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, Mapping) else 0,
    )


def completion(call: str, at: datetime, model: str, response: Response, usage: Usage) -> dict[str, Any]:
    """The chat completion that carries a response."""
    message = response.message.model_dump(mode="json", exclude_none=True)
    return {
        "id": f"chatcmpl-{call}",
        "object": "chat.completion",
        "created": int(at.timestamp()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"content": None, "refusal": None, **message},
                "logprobs": None,
                "finish_reason": response.finish_reason or "stop",
            }
        ],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        },
    }


def chunks(body: Mapping[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """A whole chat completion as server-sent events: one chunk with the answer, one with its end."""
    head = {key: value for key, value in body.items() if key not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    choices = [choice for choice in body.get("choices", ()) if isinstance(choice, dict)]
    yield _event({**head, "choices": [_delta(c, _numbered(c.get("message") or {}), None) for c in choices]})
    yield _event({**head, "choices": [_delta(c, {}, c.get("finish_reason")) for c in choices]})
    if include_usage:
        yield _event({**head, "choices": [], "usage": body.get("usage")})
    yield b"data: [DONE]\n\n"


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON is nested deeper than the limit."""
    level = [value]
    for _ in range(limit):
        level = [item for outer in level for item in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, dict | list)]


def _delta(choice: Mapping[str, Any], delta: Mapping[str, Any], finish_reason: Any) -> dict[str, Any]:
    return {"index": choice.get("index", 0), "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _numbered(message: Mapping[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return dict(message)
    return {**message, "tool_calls": [{"index": index, **call} for index, call in enumerate(calls)]}


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
