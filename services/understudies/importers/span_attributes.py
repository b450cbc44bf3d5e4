"""Read attributes of spans, whose dotted names stand for objects and lists."""

from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from understudies.importers.json_parsing import parse_embedded_json

LEAF = ""
"""The key of a value whose name is also the beginning of others."""


def nest_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes as nested objects: `a.0.b` becomes `{"a": {"0": {"b": ...}}}`.

    Attributes that are nested already, as in some exports, stay as they are.
    """
    nested: dict[str, Any] = {}
    for name, value in attributes.items():
        *path, last = name.split(".")
        node = nested
        for step in path:
            below = node.get(step)
            if not isinstance(below, dict):
                below = {} if below is None else {LEAF: below}
                node[step] = below
            node = below
        known = node.get(last)
        if isinstance(known, dict) and not isinstance(value, dict):
            known[LEAF] = value
        elif isinstance(known, dict):
            known |= value
        else:
            node[last] = value
    return nested


def find(nested: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, parsed if it is JSON text, or None."""
    value: Any = nested
    for step in _steps(path):
        if type(value) is not dict or (value := value.get(step)) is None:
            return None
    if type(value) is dict and LEAF in value:
        value = value[LEAF]
    return parse_embedded_json(value)


_steps = lru_cache(maxsize=1024)(partial(str.split, sep="."))
"""Split a path, of which the code has a few hundred."""


def first_found(nested: Mapping[str, Any], paths: Iterable[str]) -> Any:
    """Return the first value that is there at one of the paths, or None."""
    for path in paths:
        value = find(nested, path)
        if value is not None and value != "":
            return value
    return None


def as_items(value: object) -> list[Any]:
    """Return the elements of a list, or of an object whose keys are indexes, in their order."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return []
    return [value[key] for key in sorted((key for key in value if key.isdigit()), key=int)]
