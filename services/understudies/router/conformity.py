"""Whether a student's answer has the form that the request asks for."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from understudies.events import Message, Request, ToolCall

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}

_PLACEHOLDER = re.compile(r"\[(?:EMAIL|CARD|IBAN|PHONE|KEY|TOKEN|PRIVATE_KEY)\]")
"""What redaction left in the examples that students learn from."""


def within_reach(request: Request) -> bool:
    """Whether a student can give what is asked; choices, log-probabilities and sound are the teacher's."""
    asked = request.parameters
    several = asked.get("n") not in (None, 1)
    modalities = asked.get("modalities")
    sound = bool(asked.get("audio")) or (isinstance(modalities, list) and modalities != ["text"])
    old_tools = bool(asked.get("functions"))
    return not (several or sound or old_tools or asked.get("logprobs") or asked.get("web_search_options"))


def complaint(request: Request, answer: Message) -> str | None:
    """What is wrong with the form of an answer, or None."""
    if not answer.text and not answer.tool_calls:
        return "the answer is empty"
    if answer.role != "assistant":
        return f"the answer has the role {answer.role!r}"
    return (
        next(_tool_complaints(request, answer), None)
        or _format_complaint(request, answer)
        or _placeholder_complaint(request, answer)
    )


def _placeholder_complaint(request: Request, answer: Message) -> str | None:
    asked = "\n".join(message.text for message in request.messages)
    learned = [found for text in _texts(answer) for found in _PLACEHOLDER.findall(text) if found not in asked]
    return f"the answer holds {learned[0]}, learned from a redacted example" if learned else None


def _texts(answer: Message) -> list[str]:
    return [answer.text, *(call.function.arguments for call in answer.tool_calls or ())]


def _format_complaint(request: Request, answer: Message) -> str | None:
    wanted = request.response_format or {}
    kind = wanted.get("type")
    if answer.tool_calls or kind not in ("json_object", "json_schema"):
        return None
    try:
        value = json.loads(answer.text)
    except ValueError:
        return "the answer is not JSON"
    if kind == "json_object":
        return None if isinstance(value, dict) else "the answer is not a JSON object"
    declared = wanted.get("json_schema")
    schema = declared.get("schema") if isinstance(declared, dict) else None
    return next(_breaches(value, schema, "answer"), None)


def _tool_complaints(request: Request, answer: Message) -> Iterator[str]:
    calls = answer.tool_calls or ()
    offered = dict(_offered(request))
    choice = request.tool_choice
    if choice == "none" and calls:
        yield "a tool was called where none may be"
    if choice == "required" and not calls:
        yield "no tool was called where one must be"
    forced = _forced(choice)
    if forced is not None and [call.function.name for call in calls] != [forced]:
        yield f"the tool {forced!r} had to be called"
    for call in calls:
        yield from _call_complaints(call, offered)


def _call_complaints(call: ToolCall, offered: Mapping[str, Any]) -> Iterator[str]:
    name = call.function.name
    if name not in offered:
        yield f"the tool {name!r} was not offered"
        return
    try:
        arguments = json.loads(call.function.arguments)
    except ValueError:
        yield f"the arguments of {name!r} are not JSON"
        return
    if not isinstance(arguments, dict):
        yield f"the arguments of {name!r} are not a JSON object"
        return
    yield from _breaches(arguments, offered[name], name)


def _offered(request: Request) -> Iterator[tuple[str, Any]]:
    for tool in request.tools or ():
        function = tool.get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield str(function["name"]), function.get("parameters")


def _forced(choice: Any) -> str | None:
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _breaches(value: Any, schema: Any, where: str) -> Iterator[str]:
    """Breaches of the plain parts of a JSON Schema; what is not understood here is let pass."""
    if not isinstance(schema, dict):
        return
    types = schema.get("type")
    named = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    if named and not any(_is(value, name) for name in named):
        yield f"{where} is not of type {types!r}"
        return
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        yield f"{where} is none of the values allowed"
    if "const" in schema and value != schema["const"]:
        yield f"{where} is not {schema['const']!r}"
    choices = schema.get("anyOf")
    if isinstance(choices, list) and all(any(_breaches(value, choice, where)) for choice in choices):
        yield f"{where} matches none of its alternatives"
    if isinstance(value, dict):
        yield from _object_breaches(value, schema, where)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _breaches(item, schema.get("items"), f"{where}[{index}]")


def _object_breaches(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    declared = schema.get("properties")
    properties = declared if isinstance(declared, dict) else {}
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if name not in value:
            yield f"{where} lacks {name!r}"
    for name, item in value.items():
        if name in properties:
            yield from _breaches(item, properties[name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{where} has {name!r}, which is not declared"


def _is(value: Any, name: object) -> bool:
    if not isinstance(name, str) or name not in _TYPES:
        return True
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])
