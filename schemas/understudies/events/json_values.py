"""JSON values in a request, limited to what can be written to a topic and read back."""

from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue

MAX_DEPTH = 100
"""Levels of nesting; JSON parsers stop at 128 to 200, and an event adds some of its own."""


_SCALARS = frozenset({str, int, bool, type(None)})


def _check_json_limits(value: Any) -> Any:
    if type(value) is dict:
        for inner in value.values():
            if type(inner) not in _SCALARS:
                break
        else:
            return value  # as nearly all parameters of calls
    layer, depth = [value], 0
    while layer:
        if depth > MAX_DEPTH:
            raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
        layer = _children(layer)
        depth += 1
    return value


def _children(layer: list[Any]) -> list[Any]:
    """Return the values one level below a layer; raises ValueError for a number that JSON does not have."""
    children: list[Any] = []
    for item in layer:
        if isinstance(item, str):
            continue
        if isinstance(item, dict):
            children.extend(item.values())
        elif isinstance(item, list):
            children.extend(item)
        elif isinstance(item, float) and item - item != 0:
            raise ValueError("JSON has no NaN and no infinity")
    return children


Json = Annotated[JsonValue, AfterValidator(_check_json_limits)]
"""Any JSON value of limited depth."""

JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_check_json_limits)]
"""A JSON object of limited depth."""


def replace_lone_surrogates(text: str) -> str:
    """Make a text encodable as UTF-8: a surrogate pair becomes its character, a lone surrogate U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
