"""Decode requests of OpenAI's Chat Completions, whose names and shapes are the canonical ones, and encode them."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from understudies.dialects.base import DecodedRequest
from understudies.dialects.json_fields import (
    arguments_text,
    object_or_empty,
    read_model,
    read_stream_flag,
    read_task,
    to_invalid_request,
)
from understudies.events import Request, ToolCall, request_of

_BESIDE_CONTENT: Final = ("audio", "images", "refusal")
_UNCOMMON: Final = frozenset({"function_call", *_BESIDE_CONTENT})
"""Fields of a message that are read apart."""


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """Decode the body of a request; raises InvalidRequest."""
    model = read_model(body)
    given = body if isinstance(body, dict) else dict(body)
    if "functions" in given or _has_uncommon_field(given.get("messages")):
        given = replace_functions(given)
    try:
        request = request_of(given)
    except ValidationError as error:
        request = _decode_object_arguments(given, error)
    options = object_or_empty(body.get("stream_options"))
    return DecodedRequest(
        request=request,
        model=model,
        stream=read_stream_flag(body),
        include_usage=options.get("include_usage") is True,
        task=read_task(body),
        stored=bool(body.get("store")),
    )


def _has_uncommon_field(messages: Any) -> bool:
    try:
        # Nearly all have a role and a content alone, which is told twice as fast.
        return bool([one for one in messages if (len(one) != 2 or "content" not in one) and _is_uncommon(one)])
    except TypeError:
        return False


def _is_uncommon(message: Any) -> bool:
    return not _UNCOMMON.isdisjoint(message)


def _decode_object_arguments(body: dict[str, Any], error: ValidationError) -> Request:
    """Decode a body whose tool arguments are objects; raises InvalidRequest if anything else is wrong with it."""
    written = _write_arguments(body.get("messages"))
    if written is None:
        raise to_invalid_request(error) from error
    try:
        return request_of({**body, "messages": written})
    except ValidationError as other:
        raise to_invalid_request(other) from other


def _write_arguments(messages: Any) -> list[Any] | None:
    """Convert tool arguments, which some servers write as objects, to text; returns None if nothing changes.

    Ids and types that are null are left out.
    """
    if not isinstance(messages, list):
        return None
    written = [write_arguments(message) if isinstance(message, dict) else message for message in messages]
    return None if all(new is old for new, old in zip(written, messages, strict=True)) else written


def write_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """Convert a message's tool arguments to text; returns the message itself if they are. Raises InvalidRequest."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    written = [_write_call(call) if isinstance(call, dict) else call for call in calls]
    return (
        message
        if all(new is old for new, old in zip(written, calls, strict=True))
        else {**message, "tool_calls": written}
    )


def _write_call(call: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in call.items() if value is not None or name not in ("id", "type")}
    function = call.get("function")
    if isinstance(function, dict) and not isinstance(function.get("arguments", ""), str):
        return {**known, "function": {**function, "arguments": arguments_text(function["arguments"])}}
    return call if len(known) == len(call) else known


def replace_functions(body: dict[str, Any]) -> dict[str, Any]:
    """Convert the older `functions` of a body to tools, and what messages say beside their content to parts of it.

    `functions` stays among the parameters, as the caller expects an answer in that form, which no student gives.
    """
    messages = body.get("messages")
    if isinstance(messages, list):
        body = {**body, "messages": [gather_parts(replace_function_call(one)) for one in messages]}
    functions = body.get("functions")
    if not isinstance(functions, list) or body.get("tools"):
        return body
    tools = [{"type": "function", "function": function} for function in functions]
    chosen = body.get("function_call")
    if isinstance(chosen, dict):
        chosen = {"type": "function", "function": {"name": chosen.get("name")}}
    rest = {name: value for name, value in body.items() if name != "function_call"}
    return {**rest, "tools": tools, **({} if chosen is None else {"tool_choice": chosen})}


def replace_function_call(message: Any) -> Any:
    """Convert the older `function_call` of a message to a tool call; returns the message itself if it has none."""
    call = message.get("function_call") if isinstance(message, dict) else None
    if not isinstance(call, dict) or message.get("tool_calls"):
        return message
    rest = {name: value for name, value in message.items() if name != "function_call"}
    return {**rest, "tool_calls": [{"id": "", "type": "function", "function": call}]}


def gather_parts(message: Any) -> Any:
    """Add the audio, the images and the refusal beside a message's content to its parts, as it is none without them.

    Returns the message itself if it has none of them. Images are those of models that draw, by way of gateways.
    """
    if not isinstance(message, dict) or not any(message.get(name) for name in _BESIDE_CONTENT):
        return message
    audio, images, refusal = (message.get(name) for name in _BESIDE_CONTENT)
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    more: list[Any] = [{"type": "audio", "audio": audio}] if isinstance(audio, dict) and audio else []
    more += [_image_part(image) for image in images] if isinstance(images, list) else []
    more += [{"type": "refusal", "refusal": refusal}] if refusal and isinstance(refusal, str) else []
    rest = {name: value for name, value in message.items() if name not in _BESIDE_CONTENT}
    return {**rest, "content": [*parts, *more]} if more else message


def _image_part(image: Any) -> dict[str, Any]:
    """Return an image as a part, also in the form of Ollama, whose images are text alone."""
    return image if isinstance(image, dict) and "type" in image else {"type": "image", "image": image}


def encode_request(request: Request, model: str) -> dict[str, Any]:
    """Encode a canonical request as the body of a request to a model."""
    asked = request.model_dump(mode="json", exclude_none=True)
    for message, dumped in zip(request.messages, asked["messages"], strict=True):
        if message.tool_calls:
            dumped["tool_calls"] = [tool_call_dict(call, call.id) for call in message.tool_calls]
    parameters = asked.pop("parameters")
    parameters.pop("functions", None)
    return {"model": model, **parameters, **asked}


def tool_call_dict(call: ToolCall, call_id: str) -> dict[str, Any]:
    """Encode one tool call with the given id."""
    name, given = call.function.name, call.function.arguments
    if call.type == "custom":
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": given}}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": given}}
