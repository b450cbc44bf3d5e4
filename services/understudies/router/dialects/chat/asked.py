"""What a chat completion asks for: its names and shapes are the canonical ones."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from understudies.events import Request, request_of
from understudies.router.dialects.base import Read
from understudies.router.dialects.chat.tool_calls import written
from understudies.router.dialects.fields import mapping_of, model_in, streamed_in, task_in, unreadable


def read(body: Mapping[str, Any]) -> Read:
    """What a body asks for; raises Unreadable."""
    model = model_in(body)
    try:
        request = request_of(body if isinstance(body, dict) else dict(body))
    except ValidationError as error:
        raise unreadable(error) from error
    options = mapping_of(body.get("stream_options"))
    return Read(
        request=request,
        model=model,
        stream=streamed_in(body),
        include_usage=options.get("include_usage") is True,
        task=task_in(body),
        stored=bool(body.get("store")),
    )


def request_body(request: Request, model: str) -> dict[str, Any]:
    """The body that asks a model for the answer to a canonical request."""
    asked = request.model_dump(mode="json", exclude_none=True)
    for message, dumped in zip(request.messages, asked["messages"], strict=True):
        if message.tool_calls:
            dumped["tool_calls"] = [written(call, call.id) for call in message.tool_calls]
    return {"model": model, **asked.pop("parameters"), **asked}
