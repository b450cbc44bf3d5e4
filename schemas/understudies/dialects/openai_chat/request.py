"""Decode requests of OpenAI's Chat Completions, whose names and shapes are the canonical ones, and encode them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from understudies.dialects.base import DecodedRequest
from understudies.dialects.json_fields import (
    object_or_empty,
    read_model,
    read_stream_flag,
    read_task,
    to_invalid_request,
)
from understudies.events import Request, ToolCall, request_of


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """What a body asks for; raises InvalidRequest."""
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


def tool_call_dict(call: ToolCall, call_id: str) -> dict[str, Any]:
    """One call of a tool, under an id."""
    name, given = call.function.name, call.function.arguments
    if call.type == "custom":
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": given}}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": given}}
