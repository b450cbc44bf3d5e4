"""What Anthropic's Messages ask for, in canonical form."""

from collections.abc import Mapping
from typing import Any, Final

from understudies.router.dialects.able import STATE
from understudies.router.dialects.base import Read, Unreadable
from understudies.router.dialects.fields import known, mapping_of, model_in, request_in, streamed_in, task_in
from understudies.router.dialects.messages.blocks import Turn, content_of

_READ: Final = frozenset(
    {"messages", "system", "tools", "tool_choice", "temperature", "stop_sequences", "thinking"}
    | {"output_config", "output_format"}
)
_NOT_THE_INPUT: Final = frozenset(
    {"model", "stream", "metadata", "cache_control", "diagnostics", "user_profile_id", "workspace_id"}
    | {"inference_geo", "service_tier", "speed"}
)
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def read(body: Mapping[str, Any]) -> Read:
    """What a body asks for; raises Unreadable."""
    model = model_in(body)
    request = request_in(canonical(body))
    return Read(request=request, model=model, stream=streamed_in(body), task=task_in(body))


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
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
        raise Unreadable("messages: a list of messages", "messages")
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", "content": content_of(body["system"], state)})
    for place, message in enumerate(given):
        if not isinstance(message, dict):
            raise Unreadable(f"messages.{place}: an object with role and content", f"messages.{place}")
        content = message.get("content")
        if isinstance(content, list):
            messages += Turn(message.get("role"), state).read(content)
        else:
            messages.append({"role": message.get("role"), "content": content})
    return messages


def _tools(tools: Any) -> Any:
    return [_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def _tool(tool: Any) -> Any:
    """A tool of the caller's as a function; one of Anthropic's own as it is."""
    if not isinstance(tool, dict) or tool.get("type") not in (None, "custom"):
        return tool
    function = known(
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
    wanted = mapping_of(body.get("output_config")).get("format") or body.get("output_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted.get("schema"), "strict": True}}


def _parameters(body: Mapping[str, Any], state: set[str]) -> dict[str, Any]:
    """All that decides the answer besides, under the names that chat completions have for it."""
    parameters = {
        name: value
        for name, value in body.items()
        if name not in _READ and name not in _NOT_THE_INPUT and value is not None
    }
    if body.get("stop_sequences") is not None:
        parameters["stop"] = body["stop_sequences"]
    thinking = body.get("thinking")
    if thinking is not None and mapping_of(thinking).get("type") != "disabled":
        parameters["thinking"] = thinking
    if effort := mapping_of(body.get("output_config")).get("effort"):
        parameters["reasoning_effort"] = effort
    if mapping_of(body.get("tool_choice")).get("disable_parallel_tool_use"):
        parameters["parallel_tool_calls"] = False
    if state:
        parameters[STATE] = sorted(state)
    return parameters
