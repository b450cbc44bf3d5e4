"""Check that a student's answer has the form that the request asks for."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from understudies.dialects.capabilities import student_can_answer
from understudies.events import Message, Request, ToolCall
from understudies.students.json_schema import is_supported, is_valid

_PLACEHOLDER = re.compile(r"\[(?:EMAIL|CARD|IBAN|PHONE|KEY|TOKEN|PRIVATE_KEY|SECRET|CREDENTIALS|NATIONAL_ID)\]")
"""The placeholders that redaction left in the examples from which students learn."""

_FORMATS = ("text", "json_object", "json_schema")


def is_answerable(request: Request) -> bool:
    """Return whether a student can answer the request, and the form of its answer can be checked."""
    return student_can_answer(request) and has_checkable_form(request)


def has_checkable_form(request: Request) -> bool:
    """Return whether the form of an answer to the request can be checked."""
    if request.response_format is None and not request.tools:
        return True
    wanted = request.response_format or {}
    return (
        wanted.get("type", "text") in _FORMATS
        and is_supported(_requested_schema(wanted))
        and all(is_supported(schema) for _, schema in _offered_tools(request))
    )


def validation_error(request: Request, answer: Message) -> str | None:
    """Return the error in an answer's form, or None. The error names what was asked for, and quotes no answer."""
    if not answer.text and not answer.tool_calls:
        return "the answer is empty"
    if answer.role != "assistant":
        return f"the answer has the role {answer.role!r}"
    return (
        next(_tool_errors(request, answer), None)
        or _format_error(request, answer)
        or _placeholder_error(request, answer)
    )


def _placeholder_error(request: Request, answer: Message) -> str | None:
    learned = [found for text in _texts(answer) for found in _PLACEHOLDER.findall(text)]
    if not learned:
        return None
    asked = "\n".join(text for message in request.messages for text in _texts(message))
    strange = next((found for found in learned if found not in asked), None)
    return f"the answer holds {strange}, learned from a redacted example" if strange else None


def _texts(message: Message) -> list[str]:
    return [message.text, *(call.function.arguments for call in message.tool_calls or ())]


def _format_error(request: Request, answer: Message) -> str | None:
    wanted = request.response_format or {}
    kind = wanted.get("type")
    if answer.tool_calls or kind not in ("json_object", "json_schema"):
        return None
    try:
        value = orjson.loads(answer.text)
    except ValueError:
        return "the answer is not JSON"
    if kind == "json_object":
        return None if isinstance(value, dict) else "the answer is not a JSON object"
    return _schema_error(value, _requested_schema(wanted), "the answer")


def _requested_schema(wanted: Mapping[str, Any]) -> Any:
    declared = wanted.get("json_schema")
    return declared.get("schema") if isinstance(declared, dict) else None


def _tool_errors(request: Request, answer: Message) -> Iterator[str]:
    calls = answer.tool_calls or ()
    offered = dict(_offered_tools(request))
    choice = request.tool_choice
    if choice == "none" and calls:
        yield "a tool was called where none may be"
    if choice == "required" and not calls:
        yield "no tool was called where one must be"
    forced = _forced_tool(choice)
    if forced is not None and {call.function.name for call in calls} != {forced}:
        yield f"the tool {forced!r} had to be called, and no other"
    if len(calls) > 1 and request.parameters.get("parallel_tool_calls") is False:
        yield "several tools were called where one at a time may be"
    for call in calls:
        yield from _tool_call_errors(call, offered)


def _tool_call_errors(call: ToolCall, offered: Mapping[str, Any]) -> Iterator[str]:
    name = call.function.name
    if name not in offered:
        yield "a tool was called that was not offered"
        return
    try:
        arguments = orjson.loads(call.function.arguments)
    except ValueError:
        yield f"the arguments of {name!r} are not JSON"
        return
    if not isinstance(arguments, dict):
        yield f"the arguments of {name!r} are not a JSON object"
        return
    breach = _schema_error(arguments, offered[name], f"the call of {name!r}")
    if breach is not None:
        yield breach


def _offered_tools(request: Request) -> Iterator[tuple[str, Any]]:
    for tool in request.tools or ():
        function = tool.get("function")
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield str(function["name"]), function.get("parameters")


def _forced_tool(choice: Any) -> str | None:
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _schema_error(value: Any, schema: Any, where: str) -> str | None:
    if is_valid(value, schema):
        return None
    required = schema.get("required") if isinstance(schema, dict) else None
    if isinstance(value, dict) and isinstance(required, list):
        lacking = next((name for name in required if isinstance(name, str) and name not in value), None)
        if lacking is not None:
            return f"{where} lacks {lacking!r}"
    return f"{where} does not fit its schema"
