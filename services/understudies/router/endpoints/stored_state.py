"""Find what a request names that the teacher stored, such as an earlier response to continue."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_FIELDS: Final = ("previous_response_id", "conversation", "container")
_ITEM_REFERENCE: Final = "item_reference"


def stored_reference(body: Mapping[str, Any]) -> str | None:
    """Return the first field of a body that names something stored at the teacher, or None.

    Files and vector stores do not count: no caller of a router with several tenants can store one through it.

    >>> stored_reference({"input": "And then?", "previous_response_id": "resp_1"})
    'previous_response_id'
    >>> stored_reference({"input": "Hello", "conversation": None, "container": {"skills": []}}) is None
    True
    """
    return next(_references(body), None)


def _references(body: Mapping[str, Any]) -> Iterator[str]:
    for name in _FIELDS:
        if _names_something(body.get(name)):
            yield name
    for tool in _objects(body.get("tools")):
        if _names_something(tool.get("container")):
            yield "tools.container"
    for item in _objects(body.get("input")):
        # The type may be absent: an item of an id alone is a reference too.
        if item.get("type") == _ITEM_REFERENCE or ("id" in item and item.keys() <= {"id", "type"}):
            yield f"input.{_ITEM_REFERENCE}"


def _names_something(value: Any) -> bool:
    """Return whether a value is an id, or an object with one."""
    return bool(value.get("id")) if isinstance(value, dict) else bool(value)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
