"""One JSON text, read leniently."""

import json
import math
from typing import Any

import orjson


class NotACall(Exception):  # noqa: N818 - it says what the record is
    """A record is no recorded call; the message says why."""


def parsed(text: bytes) -> Any:
    """The value of a JSON text; NaN and infinities are null, lone surrogates as question marks."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            plain = text.decode("utf-8")
        except UnicodeDecodeError as undecodable:
            raise NotACall(f"not UTF-8 at byte {undecodable.start}") from None
        if "infinity" not in error.msg and not any(token in text for token in (b"NaN", b"Infinity", b"\\u")):
            raise NotACall(_reason(error)) from None
        return _lenient(plain)


def loaded(value: object) -> Any:
    """The value itself, or what is in it where it is JSON text of an object or array, as logs often hold."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _lenient(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise NotACall("nested too deeply") from None
    except ValueError as error:
        raise NotACall(f"not JSON: {error}") from None


def _finite(written: str) -> float | None:
    number = float(written)
    return number if math.isfinite(number) else None


def _reason(error: orjson.JSONDecodeError) -> str:
    if "recursion" in error.msg.lower() or "depth" in error.msg:
        return "nested too deeply"
    return f"not JSON: {error.msg} at column {error.colno}"
