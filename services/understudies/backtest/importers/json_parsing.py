"""One JSON text, read leniently."""

import json
import math
from typing import Any

import orjson


class NotARecordedCall(Exception):  # noqa: N818 - it says what the record is
    """A record is no recorded call; the message says why."""


def parse_json(text: bytes) -> Any:
    """The value of a JSON text; NaN and infinities are null, lone surrogates as question marks."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            plain = text.decode("utf-8")
        except UnicodeDecodeError as undecodable:
            raise NotARecordedCall(f"not UTF-8 at byte {undecodable.start}") from None
        if "infinity" not in error.msg and not any(token in text for token in (b"NaN", b"Infinity", b"\\u")):
            raise NotARecordedCall(_decode_error_reason(error)) from None
        return _parse_leniently(plain)


def parse_embedded_json(value: object) -> Any:
    """The value itself, or what is in it where it is JSON text of an object or array, as logs often hold."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def _parse_leniently(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite_or_none)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise NotARecordedCall("nested too deeply") from None
    except ValueError as error:
        raise NotARecordedCall(f"not JSON: {error}") from None


def _finite_or_none(written: str) -> float | None:
    number = float(written)
    return number if math.isfinite(number) else None


def _decode_error_reason(error: orjson.JSONDecodeError) -> str:
    if "recursion" in error.msg.lower() or "depth" in error.msg:
        return "nested too deeply"
    return f"not JSON: {error.msg} at column {error.colno}"
