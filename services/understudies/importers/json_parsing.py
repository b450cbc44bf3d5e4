"""Parse JSON text leniently."""

import json
import math
from typing import Any

import orjson

_MAY_BEGIN_JSON = frozenset("{[ \t\r\n")
"""With what JSON text of an object or array begins: itself, or what JSON takes for white space."""


class NotARecordedCall(Exception):  # noqa: N818 - the name describes the record
    """A record is not a recorded call; the message gives the reason."""


class OtherKind(NotARecordedCall):
    """A record is of another kind than calls of chat models, such as an embedding or the span of an agent."""


class FailedCall(NotARecordedCall):
    """A record is of a call that failed."""


class WithoutContent(NotARecordedCall):
    """A record is of a call whose messages it does not tell: another record may."""


def parse_json(text: bytes) -> Any:
    """Parse JSON text, with NaN and infinities as null and lone surrogates as question marks.

    Raises NotARecordedCall if the text is not JSON, not UTF-8 or nested too deeply.
    """
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
    """Parse a value that is JSON text of an object or array, as logs often hold; any other is returned unchanged."""
    if isinstance(value, str) and value[:1] in _MAY_BEGIN_JSON and value.lstrip()[:1] in ("{", "["):
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


def split_concatenated(text: bytes) -> list[Any] | None:
    """Parse JSON objects that follow each other with white space or commas between; None if that is not so."""
    if b"}" not in text[:-1] or text.lstrip()[:1] != b"{":
        return None
    try:
        plain = text.decode("utf-8")
    except UnicodeDecodeError:
        return None
    values: list[Any] = []
    place = 0
    try:
        while place < len(plain):
            value, place = _DECODER.raw_decode(plain, place)
            values.append(value)
            while place < len(plain) and plain[place] in " \t\r\n,":
                place += 1
    except (ValueError, RecursionError):
        return None
    return values


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite_or_none)
