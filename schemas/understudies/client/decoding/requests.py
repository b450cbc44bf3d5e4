"""Decode a teacher's arguments into the request that they make."""

import json
from collections.abc import Mapping
from typing import Any

from understudies.client.calls import CallArguments
from understudies.client.decoding.json_values import get_field, is_left_out, to_json, to_json_items, to_plain_object
from understudies.client.decoding.messages import write_messages
from understudies.client.errors import NotRecorded
from understudies.dialects import detection
from understudies.events import Request

_PROMPT_ARGUMENTS = ("prompt", "input", "question", "query", "text")
_MODEL_ARGUMENTS = frozenset(
    {"model", "system", "temperature", "top_p", "top_k", "seed", "n", "stop", "stop_sequences", "stream"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "presence_penalty", "frequency_penalty"}
    | {"tools", "tool_choice", "response_format", "reasoning_effort", "user", "metadata"}
)
"""Arguments that configure the model when they accompany a prompt; any other argument is part of the input."""
_CLIENT_ARGUMENTS = frozenset({"extra_headers", "extra_query", "timeout", "config", "betas"})
_RESPONSES_ARGUMENTS = frozenset(
    {"input", "model", "instructions", "tools", "tool_choice", "text", "text_format", "temperature", "top_p", "stream"}
    | {"stream_options", "include", "reasoning", "background", "store", "metadata", "user", "truncation"}
    | {"max_output_tokens", "max_tool_calls", "parallel_tool_calls", "previous_response_id", "conversation"}
    | {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier"}
    | {"top_logprobs", "context_management", "moderation", "prompt", "image", "access_programs", "background_options"}
    | {"verbosity", "extra_body"}
)
"""Arguments of OpenAI's client for the Responses API."""
_RESUMING_ARGUMENTS = frozenset({"response_id", "starting_after", "text_format", "tools", "include", "stream"})
_UNNAMED = "unnamed"
"""The model's name if the call gives none."""


def decode_request(arguments: CallArguments) -> tuple[Request, str]:
    """Decode the request and the name of the requested model; raises NotRecorded or InvalidRequest.

    A call in the form of a provider's own client is decoded as the router would decode its body; a prompt, LangChain
    messages and the arguments of a plain function are first converted to a chat.
    """
    body = _write_body(arguments)
    model = body.get("model")
    asked = model if isinstance(model, str) else ""
    # Not part of the input, and rejected by the dialects if they are not text.
    known = {name: value for name, value in body.items() if name not in ("metadata", "stream")}
    return detection.decode_request({**known, "model": asked or _UNNAMED}).request, asked


def _write_body(arguments: CallArguments) -> dict[str, Any]:
    named = {
        key: value for key, value in arguments.named.items() if key not in _CLIENT_ARGUMENTS and not is_left_out(value)
    }
    if "response_id" in named and named.keys() <= _RESUMING_ARGUMENTS:
        raise NotRecorded("unreadable", "the stream of a stored response is read on, without its request")
    positional = arguments.positional
    calls_responses = not positional and _is_responses_call(named)
    if isinstance(extra := named.pop("extra_body", None), Mapping):
        named.update(extra)  # as the client does
    first = positional[0] if positional else None
    if isinstance(first, dict) and ("messages" in first or _is_responses_call({**first, **named})):
        named = {**first, **named}
        positional = ()
    if not positional and detection.is_decision_request(named):
        return to_json_items(named)
    if calls_responses or (not positional and _is_responses_call(named)):
        return {**to_json_items(_write_formats(named)), "input": _write_input(named["input"])}
    source, rest = _split_input(positional, named)
    return {**to_json_items(_write_formats(rest)), "messages": write_messages(source)}


def _write_formats(named: dict[str, Any]) -> dict[str, Any]:
    """Convert classes given as the format of an answer, as to `parse`, to the schemas that a provider gets."""
    written = dict(named)
    if isinstance(kind := written.get("text_format"), type):
        del written["text_format"]
        schema = {"type": "json_schema", **to_json(kind)["json_schema"], "strict": True}
        written["text"] = {**(to_json(written.get("text")) or {}), "format": schema}
    if isinstance(kind := written.get("output_format"), type):
        written["output_format"] = {"type": "json_schema", "schema": to_json(kind)["json_schema"]["schema"]}
    if isinstance(kind := written.get("response_format"), type):
        schema = {**to_json(kind)["json_schema"], "strict": True}
        written["response_format"] = {"type": "json_schema", "json_schema": schema}
    return written


def _is_responses_call(named: Mapping[str, Any]) -> bool:
    """Return whether this is a call of OpenAI's Responses and not of a function that happens to take `input`."""
    if not isinstance(named.get("input"), str | list | tuple) or "messages" in named:
        return False
    if "prompt" in named and not isinstance(named["prompt"], Mapping):
        return False
    return "model" in named and named.keys() <= _RESPONSES_ARGUMENTS


def _write_input(given: Any) -> Any:
    return given if isinstance(given, str) else [to_plain_object(item) for item in given]


def _split_input(positional: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Split the arguments into the one that holds the messages or the prompt, and the others."""
    if "messages" in named:
        return named["messages"], {key: value for key, value in named.items() if key != "messages"}
    if positional and not isinstance(positional[0], str) and _is_message_input(positional[0]):
        return positional[0], named
    prompts = [*positional, *(named[name] for name in _PROMPT_ARGUMENTS if name in named)]
    rest = {key: value for key, value in named.items() if key not in _PROMPT_ARGUMENTS}
    if len(prompts) == 1 and isinstance(prompts[0], str) and rest.keys() <= _MODEL_ARGUMENTS:
        return prompts[0], rest
    return _arguments_as_json(positional, named), {}


def _is_message_input(value: Any) -> bool:
    return hasattr(value, "to_messages") or (isinstance(value, list) and _are_messages(value))


def _are_messages(items: list[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, str | tuple) or isinstance(get_field(item, "role") or get_field(item, "type"), str)
        for item in items
    )


def _arguments_as_json(positional: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Encode the arguments of a plain function as JSON text: all of them are its input."""
    if not positional and not named:
        raise NotRecorded("unreadable", "called without arguments")
    whole: Any = named if not positional else positional[0] if len(positional) == 1 and not named else None
    if whole is None:
        whole = {"args": positional, **named}
    return json.dumps(to_json(whole), ensure_ascii=False, sort_keys=True)
