"""JSON as models write it: bare, or inside a Markdown fence."""

import json
import re
from typing import NoReturn

from pydantic import JsonValue

from understudies.judges.number import parse_number

_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)```", re.DOTALL)


def parse_json(text: str) -> JsonValue:
    """The value that a text holds, its whole numbers as integers, so that none loses digits.

    Raises ValueError where it holds none, nests too deeply to read, or has a number beyond any float.
    """
    body = text.strip()
    if body.startswith("```") and (fenced := _FENCE.fullmatch(body)):
        body = fenced[1]
    try:
        value: JsonValue = json.loads(body, parse_constant=_reject_constant, parse_float=parse_number)
    except RecursionError as error:
        raise ValueError("nests too deeply") from error
    return value


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def canonical_json(value: JsonValue) -> str:
    """One text for equal values: keys sorted, whole floats written as integers.

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
