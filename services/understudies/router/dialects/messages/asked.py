"""What Anthropic's Messages ask for, in canonical form."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.able import PROVIDER_STATE
from understudies.router.dialects.base import DecodedRequest, InvalidRequest
from understudies.router.dialects.fields import (
    object_or_empty,
    read_model,
    read_stream_flag,
    read_task,
    validate_request,
    without_none,
)
from understudies.router.dialects.messages.blocks import TurnDecoder, decode_content

_CONVERTED_FIELDS: Final = frozenset(
    {"messages", "system", "tools", "tool_choice", "temperature", "stop_sequences", "thinking"}
    | {"output_config", "output_format"}
)
_IGNORED_FIELDS: Final = frozenset(
    {"model", "stream", "metadata", "cache_control", "diagnostics", "user_profile_id", "workspace_id"}
    | {"inference_geo", "service_tier", "speed"}
)
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def decode_request(body: Mapping[str, Any]) -> DecodedRequest:
    """What a body asks for; raises Unreadable."""
    model = read_model(body)
    request = validate_request(to_canonical(body))
    return DecodedRequest(request=request, model=model, stream=read_stream_flag(body), task=read_task(body))


def to_canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the canonical request, not yet validated; raises Unreadable."""
    state: set[str] = set()
    return {
        "messages": _messages(body, state),
        "tools": _tools(body.get("tools")),
        "tool_choice": _tool_choice(body.get("tool_choice")),
        "response_format": _response_format(body),
        "temperature": body.get("temperature"),
        "parameters": _parameters(body, state),
    }


def _messages(body: Mapping[str, Any], state: set[str]) -> list[dict[str, Any]]:
    given = body.get("messages")
    if not isinstance(given, list):
        raise InvalidRequest("messages: a list of messages", "messages")
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", "content": decode_content(body["system"], state)})
    for place, message in enumerate(given):
        if not isinstance(message, dict):
            raise InvalidRequest(f"messages.{place}: an object with role and content", f"messages.{place}")
        content = message.get("content")
        if isinstance(content, list):
            messages += TurnDecoder(message.get("role"), state).decode(content)
        else:
            messages.append({"role": message.get("role"), "content": content})
    return messages


def _tools(tools: Any) -> Any:
    return [_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def _tool(tool: Any) -> Any:
    """A tool of the caller's as a function; one of Anthropic's own as it is."""
    if not isinstance(tool, dict) or tool.get("type") not in (None, "custom"):
        return tool
    function = without_none(
        name=tool.get("name"),
        description=tool.get("description"),
        parameters=tool.get("input_schema"),
        strict=tool.get("strict"),
    )
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _CHOICES.get(kind, choice) if isinstance(kind, str) else choice


def _response_format(body: Mapping[str, Any]) -> Any:
    wanted = object_or_empty(body.get("output_config")).get("format") or body.get("output_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted.get("schema"), "strict": True}}


def _parameters(body: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    """All that decides the answer besides, under the names that chat completions have for it."""
    parameters = {
        name: value
        for name, value in body.items()
        if name not in _CONVERTED_FIELDS and name not in _IGNORED_FIELDS and value is not None
    }
    if body.get("stop_sequences") is not None:
        parameters["stop"] = body["stop_sequences"]
    thinking = body.get("thinking")
    if thinking is not None and object_or_empty(thinking).get("type") != "disabled":
        parameters["thinking"] = thinking
    if effort := object_or_empty(body.get("output_config")).get("effort"):
        parameters["reasoning_effort"] = effort
    if object_or_empty(body.get("tool_choice")).get("disable_parallel_tool_use"):
        parameters["parallel_tool_calls"] = False
    if state:
        parameters[PROVIDER_STATE] = sorted(state)
    return parameters
