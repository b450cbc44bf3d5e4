"""What a chat completion asks for: its names and shapes are the canonical ones."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from understudies.events import Request, request_of
from understudies.router.dialects.base import DecodedRequest
from understudies.router.dialects.chat.tool_calls import tool_call_dict
from understudies.router.dialects.fields import (
    object_or_empty,
    read_model,
    read_stream_flag,
    read_task,
    to_invalid_request,
)


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """What a body asks for; raises Unreadable."""
    model = read_model(body)
    try:
        request = request_of(body if isinstance(body, dict) else dict(body))
    except ValidationError as error:
        raise to_invalid_request(error) from error
    options = object_or_empty(body.get("stream_options"))
    return DecodedRequest(
        request=request,
        model=model,
        stream=read_stream_flag(body),
        include_usage=options.get("include_usage") is True,
        task=read_task(body),
        stored=bool(body.get("store")),
    )


def encode_request(request: Request, model: str) -> dict[str, Any]:
    """The body that asks a model for the answer to a canonical request."""
    asked = request.model_dump(mode="json", exclude_none=True)
    for message, dumped in zip(request.messages, asked["messages"], strict=True):
        if message.tool_calls:
            dumped["tool_calls"] = [tool_call_dict(call, call.id) for call in message.tool_calls]
    return {"model": model, **asked.pop("parameters"), **asked}
