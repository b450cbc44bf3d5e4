"""The tools of OpenAI's Responses in canonical form."""

from collections.abc import Mapping
from typing import Any

from understudies.router.dialects.fields import known


def tools_of(tools: Any) -> Any:
    """The tools as chat completions have them; the provider's own stay as they are."""
    return [_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def tool_choice_of(choice: Any) -> Any:
    """The choice of a tool as chat completions have it."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind in ("function", "custom"):
        return {"type": kind, str(kind): {"name": choice.get("name")}}
    if kind == "allowed_tools":
        return {"type": kind, "allowed_tools": known(mode=choice.get("mode"), tools=tools_of(choice.get("tools")))}
    return choice


def _tool(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind == "function":
        about = {name: tool.get(name) for name in ("name", "description", "parameters", "strict")}
        return {"type": "function", "function": known(**about)}
    if kind == "custom":
        about = known(name=tool.get("name"), description=tool.get("description"), format=_format(tool.get("format")))
        return {"type": "custom", "custom": about}
    return tool


def _format(given: Any) -> Any:
    if not isinstance(given, Mapping) or given.get("type") != "grammar":
        return given
    return {"type": "grammar", "grammar": known(definition=given.get("definition"), syntax=given.get("syntax"))}
