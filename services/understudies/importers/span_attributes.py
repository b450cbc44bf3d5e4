"""Read attributes of spans, whose dotted names stand for objects and lists."""

from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

from understudies.importers.json_parsing import parse_embedded_json

LEAF = ""
"""The key of a value whose name is also the beginning of others."""


class NestedAttributes(dict[str, Any]):
    """Attributes as nested objects, with what tells that there is nothing at a path without a search for it.

    `names` are those of the attributes and all their beginnings, up to a dot; `opened` are beginnings of paths into
    attributes that are objects themselves.
    """

    __slots__ = ("names", "opened")

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        super().__init__()
        self.names = _beginnings(tuple(attributes))
        self.opened = tuple([f"{name}." for name, value in attributes.items() if type(value) is dict])

    def may_have(self, path: str) -> bool:
        """Return whether there may be a value at a path."""
        return path in self.names or (bool(self.opened) and path.startswith(self.opened))


@lru_cache(maxsize=1024)
def _beginnings(names: tuple[str, ...]) -> frozenset[str]:
    paths = [name.split(".") for name in names]
    return frozenset(".".join(path[:end]) for path in paths for end in range(1, len(path) + 1))


def nest_attributes(attributes: Mapping[str, Any]) -> NestedAttributes:
    """Return the attributes as nested objects: `a.0.b` becomes `{"a": {"0": {"b": ...}}}`.

    Attributes that are nested already, as in some exports, stay as they are.
    """
    nested = NestedAttributes(attributes)
    plan = _plan(tuple(attributes)) if not nested.opened else None
    if plan is None:
        _nest_each(nested, attributes)
        return nested
    nodes: list[dict[str, Any]] = [nested]
    for (opened, node, last), value in zip(plan, attributes.values(), strict=True):
        for parent, step in opened:
            below: dict[str, Any] = {}
            nodes[parent][step] = below
            nodes.append(below)
        nodes[node][last] = value
    return nested


class _Placed(NamedTuple):
    """Where an attribute is put: the objects to open before, each in one that is open, and its own with its key."""

    opened: tuple[tuple[int, str], ...]
    node: int
    last: str


@lru_cache(maxsize=1024)
def _plan(names: tuple[str, ...]) -> tuple[_Placed, ...] | None:
    """Return where attributes of these names are put, or None if one's name is the beginning of another's."""
    known: dict[tuple[str, ...], int] = {(): 0}
    plan: list[_Placed] = []
    for name in names:
        *path, last = name.split(".")
        opened: list[tuple[int, str]] = []
        for end in range(1, len(path) + 1):
            begun = tuple(path[:end])
            if begun not in known:
                opened.append((known[begun[:-1]], begun[-1]))
                known[begun] = len(known)
        plan.append(_Placed(tuple(opened), known[tuple(path)], last))
    is_clear = known.keys().isdisjoint(tuple(name.split(".")) for name in names)
    return tuple(plan) if is_clear else None


def _nest_each(nested: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        *path, last = _steps(name)
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


def find(nested: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, parsed if it is JSON text, or None."""
    if type(nested) is NestedAttributes and not nested.may_have(path):
        return None
    value: Any = nested
    for step in _steps(path):
        if not isinstance(value, dict) or (value := value.get(step)) is None:
            return None
    if type(value) is dict and LEAF in value:
        value = value[LEAF]
    return parse_embedded_json(value) if isinstance(value, str) else value


_steps = lru_cache(maxsize=4096)(partial(str.split, sep="."))
"""Split a path, of which the code has a few hundred and logs as many; nobody changes the list."""


def first_found(nested: Mapping[str, Any], paths: Iterable[str]) -> Any:
    """Return the first value that is there at one of the paths, or None."""
    known = nested.names if type(nested) is NestedAttributes and not nested.opened else None
    for path in paths:
        if known is None or path in known:
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
