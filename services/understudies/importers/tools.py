"""Convert the definitions of tools, in the forms of many providers and libraries, to those of the dialects."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from understudies.dialects.json_fields import list_objects, object_or_empty, text_or_empty
from understudies.dialects.openai_responses.request import decode_tools
from understudies.importers.json_parsing import parse_embedded_json

_SCHEMAS: Final = (
    *("parameters", "inputSchema", "parametersJsonSchema", "parameters_json_schema", "input_schema", "args_schema"),
    *("schema",),
)
_FUNCTION_CALLING: Final = ("functionCallingConfig", "function_calling_config")
_ALLOWED: Final = ("allowedFunctionNames", "allowed_function_names")
_GEMINI_MODES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
_DECLARATIONS: Final = ("functionDeclarations", "function_declarations")


def write_tools(value: object) -> list[dict[str, Any]]:
    """Convert a list of tools, or an object of tools by name, either of which may hold JSON text.

    Tools of OpenAI's chats and of Anthropic stay as they are.
    """
    if not value:
        return []
    given = parse_embedded_json(value)
    if isinstance(given, dict):
        if isinstance(given.get("tools"), list):  # Bedrock's toolConfig
            given = given["tools"]
        elif "type" in given or "function" in given:
            given = [given]
        else:
            given = [_named(name, tool) for name, tool in given.items()]
    if not isinstance(given, list):
        return []
    return [tool for item in list_objects([parse_embedded_json(item) for item in given]) for tool in _write_tool(item)]


def write_tool_choice(value: object) -> object:
    """Convert a tool choice of Bedrock's Converse, Gemini or the AI SDK to that of chats; None if it says nothing."""
    choice = object_or_empty(parse_embedded_json(value))
    for name in _FUNCTION_CALLING:
        if isinstance(config := choice.get(name), dict):
            return _gemini_choice(config)
    kind, named = choice.get("type"), choice.get("toolName") or object_or_empty(choice.get("tool")).get("name")
    if isinstance(named, str):
        return {"type": "function", "function": {"name": named}}
    if kind in ("auto", "none", "required"):  # the AI SDK
        return kind
    return "required" if "any" in choice else "auto" if "auto" in choice else None


def _gemini_choice(config: Mapping[str, Any]) -> object:
    allowed = next((names for name in _ALLOWED if isinstance(names := config.get(name), list)), [])
    if config.get("mode") == "ANY" and len(allowed) == 1 and isinstance(allowed[0], str):
        return {"type": "function", "function": {"name": allowed[0]}}
    return _GEMINI_MODES.get(text_or_empty(config.get("mode")))


def _named(name: str, value: object) -> object:
    """Return the tool that an object holds under a name, with that name if it has none itself."""
    tool = parse_embedded_json(value)
    if not isinstance(tool, dict) or tool.keys() & {"name", "function", "toolSpec", "type"}:
        return tool
    return _write_function({**tool, "name": name})


def _write_tool(tool: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in _DECLARATIONS:  # Gemini
        if isinstance(tool.get(name), list):
            yield from (_write_function(declared) for declared in list_objects(tool[name]))
            return
    specification = tool.get("toolSpec", tool.get("tool_spec"))
    if isinstance(specification, dict):  # Bedrock
        yield _write_function(specification)
    elif "cachePoint" in tool:
        return
    elif (
        "function" not in tool
        and isinstance(tool.get("name"), str)
        and tool.keys() & {"inputSchema", "parametersJsonSchema"}
    ):
        yield _write_function(tool)  # the AI SDK
    else:
        yield tool


def _write_function(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = next((parse_embedded_json(function[name]) for name in _SCHEMAS if function.get(name) is not None), None)
    if isinstance(schema, dict):
        schema = next((schema[name] for name in ("json", "jsonSchema") if isinstance(schema.get(name), dict)), schema)
    written: dict[str, Any] = {"name": function.get("name")}
    if isinstance(function.get("description"), str):
        written["description"] = function["description"]
    if isinstance(schema, dict):
        written["parameters"] = schema
    return {"type": "function", "function": written}


def write_chat_tool(tool: dict[str, Any]) -> Any:
    """Convert a tool to the form of chats if it has that of Responses or lacks its type."""
    if "function" in tool or "input_schema" in tool or not isinstance(tool.get("name"), str):
        return tool
    return decode_tools([{"type": "function", **tool}])[0]


def write_responses_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Convert a tool to the form of Responses if it has that of chats."""
    function = tool.get("function")
    return {"type": "function", **function} if isinstance(function, dict) else tool
