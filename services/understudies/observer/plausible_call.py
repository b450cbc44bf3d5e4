"""Check the form of a recorded call without decoding it: the store coerces what the other services refuse.

ClickHouse takes a number for a name, and a default for a field that is missing; the same event would then be a call in
the store and a dead letter for the budget. Checked are the fields that are required and the types of all at the top
level; what is not plausible is decoded, which decides. Decoding every call would halve the speed of the sink.
"""

from functools import lru_cache
from typing import Any, Final

import orjson

from understudies.events import INVOCATIONS
from understudies.events.base import is_task_name

_is_task_name: Final = lru_cache(maxsize=4096)(is_task_name)
_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _types_of(schema: dict[str, Any], definitions: dict[str, Any]) -> frozenset[type]:
    """Return the types that a JSON schema allows at its top."""
    if "$ref" in schema:
        return _types_of(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "type" in schema:
        return frozenset(_PYTHON_TYPES[schema["type"]])
    options = schema.get("anyOf") or schema.get("oneOf") or []
    return frozenset(one for option in options for one in _types_of(option, definitions))


_SCHEMA: Final[dict[str, Any]] = INVOCATIONS.adapter.json_schema()
_REQUIRED: Final = frozenset(_SCHEMA["required"])
_DEFINITIONS: Final[dict[str, Any]] = _SCHEMA.get("$defs", {})
_TYPES: Final = {
    name: types for name, schema in _SCHEMA["properties"].items() if (types := _types_of(schema, _DEFINITIONS))
}


def is_plausible_call(value: bytes) -> bool:
    """Return whether a message has the form of a recorded call; one that has not may still be one."""
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(event, dict) or not event.keys() >= _REQUIRED:
        return False
    for name, item in event.items():
        types = _TYPES.get(name)
        if types is not None and type(item) not in types:
            return False
    return _is_task_name(event["task"]) and isinstance(event["request"].get("messages"), list)
