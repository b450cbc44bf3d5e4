"""Read attributes of spans, whose dotted names stand for objects and lists."""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

from understudies.importers.json_parsing import parse_embedded_json

LEAF = ""
"""The key of a value whose name is also the beginning of others."""


class _Placed(NamedTuple):
    """Where an attribute is put: the objects to open before, each in one that is open, and its own with its key."""

    opened: tuple[tuple[int, str], ...]
    node: int
    last: str


class _Layout(dict[str, bool]):
    """What the names of a span's attributes tell, found once for all spans with the same: by path, whether it may have
    a value.

    `opened` are beginnings of paths into attributes that are objects themselves, and `plan` says where each attribute
    is put, or is None if only the attributes tell.
    """

    __slots__ = ("_among", "_names", "_opened", "plan")

    def __init__(self, names: tuple[str, ...], opened: tuple[str, ...]) -> None:
        super().__init__()
        paths = [name.split(".") for name in names]
        self._names = frozenset(".".join(path[:end]) for path in paths for end in range(1, len(path) + 1))
        self._opened = opened
        self._among: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.plan = None if opened else _plan(names)

    def __missing__(self, path: str) -> bool:
        may_have = self[path] = path in self._names or (bool(self._opened) and path.startswith(self._opened))
        return may_have

    def among(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the paths that may have a value."""
        found = self._among.get(paths)
        if found is None:
            found = self._among[paths] = tuple(path for path in paths if self[path])
        return found


@lru_cache(maxsize=256)
def _layout(names: tuple[str, ...], opened: tuple[str, ...]) -> _Layout:
    return _Layout(names, opened)


class NestedAttributes(dict[str, Any]):
    """Attributes as nested objects; `layout` tells that there is nothing at a path without a search for it.

    `flat` are the attributes by their names if nothing else is at these paths.
    """

    __slots__ = ("flat", "layout")

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        super().__init__()
        opened = [f"{name}." for name, value in attributes.items() if type(value) is dict]
        self.layout = _layout(tuple(attributes), tuple(opened))
        self.flat: Mapping[str, Any] = {} if self.layout.plan is None else attributes


def nest_attributes(attributes: Mapping[str, Any]) -> NestedAttributes:
    """Return the attributes as nested objects: `a.0.b` becomes `{"a": {"0": {"b": ...}}}`.

    Attributes that are nested already, as in some exports, stay as they are.
    """
    nested = NestedAttributes(attributes)
    plan = nested.layout.plan
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
    value: Any = nested
    if type(nested) is NestedAttributes:
        if not nested.layout[path]:
            return None
        value = nested.flat.get(path, nested)
    if value is nested:
        for step in _steps(path):
            if not isinstance(value, dict) or (value := value.get(step)) is None:
                return None
    if type(value) is dict and LEAF in value:
        value = value[LEAF]
    return parse_embedded_json(value) if isinstance(value, str) else value


_steps = lru_cache(maxsize=4096)(partial(str.split, sep="."))
"""Split a path, of which the code has a few hundred and logs as many; nobody changes the list."""


def first_found(nested: Mapping[str, Any], paths: tuple[str, ...]) -> Any:
    """Return the first value that is there at one of the paths, or None."""
    for path in nested.layout.among(paths) if type(nested) is NestedAttributes else paths:
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
