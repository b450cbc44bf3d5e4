"""From a teacher's arguments to the request that they make."""

import json
from typing import Any

from understudies.client.calls import CallArguments
from understudies.client.decoding.json_values import get_field, to_json, to_json_items
from understudies.client.decoding.messages import decode_messages
from understudies.client.errors import NotRecorded
from understudies.events import Request, request_of

_PROMPT_ARGUMENTS = ("prompt", "input", "question", "query", "text")
_MODEL_ARGUMENTS = frozenset(
    {"model", "system", "temperature", "top_p", "top_k", "seed", "n", "stop", "stop_sequences", "stream"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "presence_penalty", "frequency_penalty"}
    | {"tools", "tool_choice", "response_format", "reasoning_effort", "user", "metadata"}
)
"""Beside a prompt these set up the model; any other argument is part of what was asked."""
_CLIENT_ARGUMENTS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "config"})


def decode_request(arguments: CallArguments) -> tuple[Request, str]:
    """The request, and the model that was asked for; raises NotRecorded or pydantic's ValidationError."""
    named = {key: value for key, value in arguments.named.items() if key not in _CLIENT_ARGUMENTS}
    source, rest = _split_input(arguments.positional, named)
    body = to_json_items(rest)
    body["messages"] = decode_messages(source)
    system = body.pop("system", None)
    if system is not None:
        body["messages"] = decode_messages([{"role": "system", "content": system}]) + body["messages"]
    if isinstance(body.get("tools"), list):
        body["tools"] = [_convert_tool(tool) for tool in body["tools"]]
    model = body.get("model")
    return request_of(body), model if isinstance(model, str) else ""


def _split_input(positional: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What holds the messages or the prompt, and the other arguments."""
    if positional and isinstance(positional[0], dict) and "messages" in positional[0]:
        named = {**positional[0], **named}
        positional = ()
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
    """Arguments of a plain function: what it was asked is all of them."""
    if not positional and not named:
        raise NotRecorded("unreadable", "called without arguments")
    whole: Any = named if not positional else positional[0] if len(positional) == 1 and not named else None
    if whole is None:
        whole = {"args": positional, **named}
    return json.dumps(to_json(whole), ensure_ascii=False, sort_keys=True)


def _convert_tool(tool: Any) -> Any:
    """Anthropic's form of a tool as OpenAI's."""
    if not isinstance(tool, dict) or "input_schema" not in tool:
        return tool
    function = {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}
