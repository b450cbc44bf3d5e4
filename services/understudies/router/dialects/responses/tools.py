"""The tools of OpenAI's Responses in canonical form."""

from collections.abc import Mapping
from typing import Any

from understudies.router.dialects.fields import without_none


def decode_tools(tools: Any) -> Any:
    """The tools as chat completions have them; the provider's own stay as they are."""
    return [_decode_tool(tool) for tool in tools] if isinstance(tools, list) else tools


def decode_tool_choice(choice: Any) -> Any:
    """The choice of a tool as chat completions have it."""
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind in ("function", "custom"):
        return {"type": kind, str(kind): {"name": choice.get("name")}}
    if kind == "allowed_tools":
        return {
            "type": kind,
            "allowed_tools": without_none(mode=choice.get("mode"), tools=decode_tools(choice.get("tools"))),
        }
    return choice


def _decode_tool(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind == "function":
        about = {name: tool.get(name) for name in ("name", "description", "parameters", "strict")}
        return {"type": "function", "function": without_none(**about)}
    if kind == "custom":
        about = without_none(
            name=tool.get("name"), description=tool.get("description"), format=_decode_format(tool.get("format"))
        )
        return {"type": "custom", "custom": about}
    return tool


def _decode_format(given: Any) -> Any:
    if not isinstance(given, Mapping) or given.get("type") != "grammar":
        return given
    return {"type": "grammar", "grammar": without_none(definition=given.get("definition"), syntax=given.get("syntax"))}
