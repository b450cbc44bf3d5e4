"""Parse JSON as models write it: bare or inside a Markdown fence, numbers as numbers or as strings."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NoReturn

from pydantic import JsonValue

from understudies.judges.number import parse_number

_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)```", re.DOTALL)


def parse_json(text: str) -> JsonValue:
    """Parse the JSON value in a text, with whole numbers as integers, so that none loses digits.

    Raises ValueError if the text is not JSON, nests too deeply, or contains a number beyond the range of floats.
    """
    body = text.strip()
    if body.startswith("```") and (fenced := _FENCE.fullmatch(body)):
        body = fenced[1]
    try:
        value: JsonValue = _DECODER.decode(body)
    except RecursionError as error:
        raise ValueError("nests too deeply") from error
    return value


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


# Made once: `json.loads` makes one at each call that passes functions.
_DECODER: Final = json.JSONDecoder(parse_constant=_reject_constant, parse_float=parse_number)


def may_be_structured(text: str) -> bool:
    """Return whether a text may be a JSON object or array, by its first character: most labels cannot."""
    return text.lstrip()[:1] in ("{", "[", "`")


def canonical_json(value: JsonValue) -> str:
    """Return one text for equal values: keys sorted, whole floats written as integers.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    try:
        return json.dumps(_with_integers(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except RecursionError as error:
        raise ValueError("nests too deeply") from error


def _with_integers(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


_LEAST = 2
_MOST = 50
_LONGEST = 100
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_KEY = re.compile(r"[^\s.,:;\[\]]([^.,:;\[\]\n]{0,48}[^\s.,:;\[\]])?")


def join_path(path: str, key: str) -> str:
    """Return the path of a key of the object at a path."""
    return f"{path}.{key}" if path else key


def parse_json_number(text: str) -> int | float | None:
    """Parse a string that consists of one JSON number; None for anything else, such as `007` and `+1`."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    try:
        return parse_number(text)
    except ValueError:
        return None


def coerce_numbers(value: JsonValue, mixed: Collection[str], path: str = "") -> JsonValue:
    """Return the value with the number strings at the mixed paths converted to numbers."""
    if isinstance(value, dict):
        return {key: coerce_numbers(item, mixed, join_path(path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [coerce_numbers(item, mixed, path) for item in value]
    number = parse_json_number(value) if isinstance(value, str) and path in mixed else None
    return value if number is None else number


def find_mixed_paths(values: Iterable[tuple[str, JsonValue]]) -> frozenset[str]:
    """Return the paths, below the given ones, at which numbers and number strings both occur at least twice.

    Keys that the name of a judge cannot contain are skipped. Raises RecursionError if a value nests too deeply.
    """
    seen: Counter[tuple[str, type]] = Counter()
    for path, value in values:
        seen.update(set(_number_forms(value, path)))
    both = (path for path, form in seen if form is str and min(seen[path, str], seen[path, int]) >= _LEAST)
    return frozenset(sorted(both)[:_MOST])


def _number_forms(value: JsonValue, path: str) -> Iterator[tuple[str, type]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if _KEY.fullmatch(key):
                yield from _number_forms(item, join_path(path, key))
    elif isinstance(value, list):
        for item in value:
            yield from _number_forms(item, path)
    elif path and isinstance(value, str) and parse_json_number(value) is not None:
        yield path, str
    elif path and isinstance(value, int | float) and not isinstance(value, bool):
        yield path, int
