"""From a teacher's arguments to the request that they make."""

import json
from typing import Any

from understudies.client.calls import Arguments
from understudies.client.errors import NotRecorded
from understudies.client.messages import messages_of
from understudies.client.plain import get, plain, plain_items
from understudies.events import Request, request_of

_PROMPTS = ("prompt", "input", "question", "query", "text")
_OF_A_MODEL = frozenset(
    {"model", "system", "temperature", "top_p", "top_k", "seed", "n", "stop", "stop_sequences", "stream"}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "presence_penalty", "frequency_penalty"}
    | {"tools", "tool_choice", "response_format", "reasoning_effort", "user", "metadata"}
)
"""Beside a prompt these set up the model; any other argument is part of what was asked."""
_OF_THE_CLIENT = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "config"})


def request_and_model(arguments: Arguments) -> tuple[Request, str]:
    """The request, and the model that was asked for; raises NotRecorded or pydantic's ValidationError."""
    named = {key: value for key, value in arguments.named.items() if key not in _OF_THE_CLIENT}
    source, rest = _input(arguments.positional, named)
    body = plain_items(rest)
    body["messages"] = messages_of(source)
    system = body.pop("system", None)
    if system is not None:
        body["messages"] = messages_of([{"role": "system", "content": system}]) + body["messages"]
    if isinstance(body.get("tools"), list):
        body["tools"] = [_tool(tool) for tool in body["tools"]]
    model = body.get("model")
    return request_of(body), model if isinstance(model, str) else ""


def _input(positional: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What holds the messages or the prompt, and the other arguments."""
    if positional and isinstance(positional[0], dict) and "messages" in positional[0]:
        named = {**positional[0], **named}
        positional = ()
    if "messages" in named:
        return named["messages"], {key: value for key, value in named.items() if key != "messages"}
    if positional and not isinstance(positional[0], str) and _is_input(positional[0]):
        return positional[0], named
    prompts = [*positional, *(named[name] for name in _PROMPTS if name in named)]
    rest = {key: value for key, value in named.items() if key not in _PROMPTS}
    if len(prompts) == 1 and isinstance(prompts[0], str) and rest.keys() <= _OF_A_MODEL:
        return prompts[0], rest
    return _as_json(positional, named), {}


def _is_input(value: Any) -> bool:
    return hasattr(value, "to_messages") or (isinstance(value, list) and _speaks(value))


def _speaks(items: list[Any]) -> bool:
    return bool(items) and all(
        isinstance(item, str | tuple) or isinstance(get(item, "role") or get(item, "type"), str) for item in items
    )


def _as_json(positional: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Arguments of a plain function: what it was asked is all of them."""
    if not positional and not named:
        raise NotRecorded("unreadable", "called without arguments")
    whole: Any = named if not positional else positional[0] if len(positional) == 1 and not named else None
    if whole is None:
        whole = {"args": positional, **named}
    return json.dumps(plain(whole), ensure_ascii=False, sort_keys=True)


def _tool(tool: Any) -> Any:
    """Anthropic's form of a tool as OpenAI's."""
    if not isinstance(tool, dict) or "input_schema" not in tool:
        return tool
    function = {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}
