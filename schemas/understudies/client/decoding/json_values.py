"""Read objects of other libraries: fields as attributes or keys, and content as JSON where possible."""

import dataclasses
import json
from typing import Any

from understudies.client.errors import NotRecorded

_MAX_DEPTH = 100
_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**64 - 1
_LEFT_OUT = frozenset({"Omit", "NotGiven"})
_TOOL_ARGUMENTS = frozenset({"input", "arguments"})
"""Fields that are recorded as text, which holds integers of any size."""


def is_left_out(value: Any) -> bool:
    """Return whether a value stands for an argument that is not sent: `omit` and `NOT_GIVEN` of official clients."""
    return type(value).__name__ in _LEFT_OUT


def get_field(source: Any, name: str) -> Any:
    """Return an item of a dict or an attribute of an object, or None if it is missing."""
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def to_json(value: Any, depth: int = 0, *, attributes: bool = False, exact: bool = False) -> Any:
    """Convert a value to JSON: models, dataclasses and tuples as their content; raises NotRecorded for anything else.

    With `attributes` any other object is read too, through those of its public attributes that are JSON. Integers of
    more than 64 bits are rounded, as in the router, but for the arguments of tools and with `exact`.
    """
    kind = type(value)
    if value is None or kind is str or kind is float or kind is bool:
        return value
    if kind is int:
        return value if exact or _MIN_INTEGER <= value <= _MAX_INTEGER else _to_float(value)
    if depth > _MAX_DEPTH:
        raise NotRecorded("unreadable", "nested too deeply, or within itself")
    if isinstance(value, dict):
        return {
            str(key): to_json(item, depth + 1, attributes=attributes, exact=exact or key in _TOOL_ARGUMENTS)
            for key, item in value.items()
            if not is_left_out(item)
        }
    if isinstance(value, list | tuple):
        return [to_json(item, depth + 1, attributes=attributes, exact=exact) for item in value]
    if isinstance(value, str | int | float):
        return value
    return _object_to_json(value, depth, attributes)


def _object_to_json(value: Any, depth: int, attributes: bool) -> Any:
    if isinstance(value, type):
        return _model_schema(value)
    if callable(getattr(value, "model_dump", None)):
        return value.model_dump(mode="json", exclude_none=True, warnings=False)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(dataclasses.asdict(value), depth + 1, attributes=attributes)
    known = getattr(value, "__dict__", None)
    if not attributes or not isinstance(known, dict):
        raise NotRecorded("unreadable", f"a {type(value).__name__} is not JSON")
    return to_json_items({name: item for name, item in known.items() if name[:1] != "_"}, depth + 1, attributes=True)


def to_plain_object(value: Any) -> dict[str, Any]:
    """Convert a library's message, part or answer to a JSON object; raises NotRecorded if it is not one.

    An object that is not a dict, a model or a dataclass is read through its public attributes. Fields that are not
    JSON, such as a client's own time stamps, are omitted.
    """
    plain = to_json_items(value, attributes=True) if isinstance(value, dict) else to_json(value, attributes=True)
    if not isinstance(plain, dict) or not plain:
        raise NotRecorded("unreadable", f"a {type(value).__name__} is no object with fields")
    return plain


def to_json_items(source: dict[str, Any], depth: int = 0, *, attributes: bool = False) -> dict[str, Any]:
    """Convert the items that are JSON and omit the others, such as a client's timeouts and missing-value markers."""
    kept = {}
    for name, value in source.items():
        try:
            kept[str(name)] = to_json(value, depth, attributes=attributes)
        except NotRecorded:
            continue
    return kept


def to_json_text(value: Any) -> str:
    """Return the value itself if it is text, otherwise its JSON text."""
    return value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)


def _to_float(number: int) -> float:
    """Convert an integer of more than 64 bits to a float, as the router reads it."""
    try:
        return float(number)
    except OverflowError as error:
        raise NotRecorded("unreadable", "an integer that no JSON parser reads") from error


def _model_schema(model: type) -> Any:
    schema = getattr(model, "model_json_schema", None)
    if not callable(schema):
        raise NotRecorded("unreadable", f"class {model.__name__} is not JSON")
    return {"type": "json_schema", "json_schema": {"name": model.__name__, "schema": schema()}}
