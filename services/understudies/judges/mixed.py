"""Numbers that a task's answers write now as numbers, now as strings."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from pydantic import JsonValue

from understudies.judges.number import read_number

_LEAST = 2
_MOST = 50
_LONGEST = 100
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_KEY = re.compile(r"[^\s.,:;\[\]]([^.,:;\[\]\n]{0,48}[^\s.,:;\[\]])?")


def inner(path: str, key: str) -> str:
    """The path of a key of the object at a path."""
    return f"{path}.{key}" if path else key


def number_in(text: str) -> int | float | None:
    """The number that a string holds and nothing else, as JSON would write it; `007` and `+1` are none."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    try:
        return read_number(text)
    except ValueError:
        return None


def with_numbers(value: JsonValue, mixed: Collection[str], path: str = "") -> JsonValue:
    """The value with the numbers of the mixed paths as numbers."""
    if isinstance(value, dict):
        return {key: with_numbers(item, mixed, inner(path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item, mixed, path) for item in value]
    number = number_in(value) if isinstance(value, str) and path in mixed else None
    return value if number is None else number


def mixed_paths(values: Iterable[tuple[str, JsonValue]]) -> frozenset[str]:
    """The paths below the given ones at which both forms occur, each at least twice.

    Keys that the name of a judge cannot hold are left out. Raises RecursionError where a value nests too deeply.
    """
    seen: Counter[tuple[str, type]] = Counter()
    for path, value in values:
        seen.update(set(_forms(value, path)))
    both = (path for path, form in seen if form is str and min(seen[path, str], seen[path, int]) >= _LEAST)
    return frozenset(sorted(both)[:_MOST])


def _forms(value: JsonValue, path: str) -> Iterator[tuple[str, type]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if _KEY.fullmatch(key):
                yield from _forms(item, inner(path, key))
    elif isinstance(value, list):
        for item in value:
            yield from _forms(item, path)
    elif path and isinstance(value, str) and number_in(value) is not None:
        yield path, str
    elif path and isinstance(value, int | float) and not isinstance(value, bool):
        yield path, int
