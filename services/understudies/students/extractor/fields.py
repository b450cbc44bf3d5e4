"""Take a JSON answer apart into fields, through nested objects and lists of objects."""

import math
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from pydantic import JsonValue

from understudies.events.json_values import replace_lone_surrogates
from understudies.students.extractor.readers import Scalar

Path = tuple[str, ...]
Fields: TypeAlias = "dict[Path, Leaf]"
"""The fields of an object by their paths."""
Leaf: TypeAlias = "Scalar | list[Scalar] | list[Fields] | Fields"
"""The value of a field: a scalar, a list of scalars, a list of objects as their fields, or an empty object."""

_MAX_DEPTH: Final = 6
MAX_FIELDS: Final = 60


class UnsupportedForm(ValueError):  # noqa: N818 - names what was met
    """Report an answer whose form has no fields to extract; names the field."""


def flatten(value: JsonValue) -> Fields:
    """Return the fields of an object by their paths; raises UnsupportedForm for other forms.

    >>> flatten({"to": {"city": "Graz"}, "lines": [{"sku": "A1"}], "tags": ["new"]})
    {('to', 'city'): 'Graz', ('lines',): [{('sku',): 'A1'}], ('tags',): ['new']}
    """
    fields: Fields = {}
    _flatten(value, (), fields, in_list=False)
    return fields


def _flatten(value: JsonValue, path: Path, fields: Fields, *, in_list: bool) -> None:
    if isinstance(value, dict) and (value or not path):
        if len(path) >= _MAX_DEPTH:
            raise UnsupportedForm(f"{format_path(path)} nests too deeply")
        for key, inner in value.items():
            _flatten(inner, (*path, key), fields, in_list=in_list)
    elif not path:
        raise UnsupportedForm("the answer is not an object")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UnsupportedForm(f"{format_path(path)} is no finite number")
    elif isinstance(value, str) and replace_lone_surrogates(value) != value:
        raise UnsupportedForm(f"{format_path(path)} is no Unicode text")
    elif isinstance(value, dict):
        fields[path] = {}
    elif isinstance(value, list):
        fields[path] = _flatten_list(value, path, in_list=in_list)
    else:
        fields[path] = value
    if len(fields) > MAX_FIELDS:
        raise UnsupportedForm(f"there are more than {MAX_FIELDS} fields")


def _flatten_list(values: list[JsonValue], path: Path, *, in_list: bool) -> Leaf:
    objects = [item for item in values if isinstance(item, dict)]
    if not objects and not any(isinstance(item, list) for item in values):
        return [item for item in values if not isinstance(item, dict | list)]
    if len(objects) < len(values):
        raise UnsupportedForm(f"{format_path(path)} is a list of lists, or of objects and other values")
    if in_list:
        raise UnsupportedForm(f"{format_path(path)} is a list of objects inside of another")
    items: list[Fields] = []
    for one in objects:
        fields: Fields = {}
        _flatten(one, (), fields, in_list=True)
        items.append(fields)
    return items


def nest(fields: Mapping[Path, Leaf]) -> dict[str, JsonValue]:
    """Return the object that has these fields, in their order."""
    built: dict[str, JsonValue] = {}
    for path, value in fields.items():
        inner: dict[str, JsonValue] = built
        for key in path[:-1]:
            child = inner.setdefault(key, {})
            assert isinstance(child, dict)
            inner = child
        inner[path[-1]] = to_json(value)
    return built


def to_json(value: Leaf) -> JsonValue:
    """Return the value of a field as JSON."""
    if isinstance(value, dict):
        return nest(value)
    if isinstance(value, list):
        return [nest(item) if isinstance(item, dict) else item for item in value]
    return value


def to_leaf(value: JsonValue) -> Leaf:
    """Return a JSON value as that of a field."""
    return flatten({"value": value})["value",]


def items_of(value: Leaf) -> list[Fields]:
    """Return the objects of a list of objects; none for other values."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def scalars_of(value: Leaf) -> list[Scalar]:
    """Return the values of a list, or a value alone; none for objects."""
    if isinstance(value, list):
        return [item for item in value if not isinstance(item, dict)]
    return [] if isinstance(value, dict) else [value]


def is_nothing(value: Leaf) -> bool:
    """Return whether a field says that there is no value."""
    return value is None or value == "" or value == [] or value == {}


def prefixes(path: Path) -> Iterator[Path]:
    """Yield the paths of the objects around a field, the outermost first."""
    return (path[:length] for length in range(1, len(path)))


def format_path(path: Path) -> str:
    """Return a path as text."""
    return ".".join(path)
