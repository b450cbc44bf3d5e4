"""Read request bodies within their limits, and detect clients that disconnect."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
from starlette.types import Receive

from understudies.router.endpoints.errors import BadRequest, ClientDisconnected, PayloadTooLarge

MAX_DEPTH: Final = 100
"""Maximum nesting depth of a request's JSON."""

MAX_VALUES: Final = 50_000
"""Maximum values in a large request's JSON: parsing so many blocks all other calls for a tenth of a second."""

COUNT_VALUES_ABOVE_BYTES: Final = 256 * 1024
"""Size of a body, in bytes, up to which its values need not be counted."""


_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""The beginning of an escape that is half of a surrogate pair."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""The mark before JSON that some editors and languages write; a reader may ignore it, by RFC 8259."""


async def read_body(receive: Receive, declared: str | None, limit: int) -> bytes:
    """Return the body of a request; raises PayloadTooLarge or ClientDisconnected."""
    if declared is not None and declared.isdecimal() and int(declared[:20]) > limit:
        raise PayloadTooLarge(limit)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnected
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise PayloadTooLarge(limit)
        body = b"".join(parts)
    if len(body) > limit:
        raise PayloadTooLarge(limit)
    return body


class UnpairedSurrogate(BadRequest):
    """Raised for a body with half a surrogate pair, which is JSON by RFC 8259 and no text that can be recorded."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__("the body has half a surrogate pair (RFC 8259, section 8.2)")
        self.body = body


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; raises BadRequest, and UnpairedSurrogate if only a teacher can read it."""
    if len(raw) > COUNT_VALUES_ABOVE_BYTES and exceeds_values(raw):
        raise BadRequest(f"the body holds more than {MAX_VALUES} values; send fewer messages or parts, or join them")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if _HALF.search(raw) and (odd := _parse_with_halves(raw)) is not None:
            raise UnpairedSurrogate(odd) from None
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and exceeds_depth(body):
        raise BadRequest(f"the body is nested more than {MAX_DEPTH} levels deep")
    return body


def _parse_with_halves(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
        str(body.get("model")).encode()
    except (ValueError, AttributeError, RecursionError):
        return None
    return body if isinstance(body, dict) and not exceeds_depth(body) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def exceeds_values(raw: bytes, limit: int = MAX_VALUES) -> bool:
    """Return whether JSON holds more values than the limit, without parsing it.

    Commas and opening brackets are counted, which takes a millisecond per megabyte. Those inside strings, such as code
    or logs, do not count. They are removed only if there are few strings: each value has at most two, so that many
    strings prove that the limit is exceeded.
    """
    if len(raw) <= 2 * limit or _count_separators(raw) <= limit:
        return False
    if raw.count(b'"') - raw.count(b'\\"') > 4 * (limit + 1):
        return True
    pieces = raw.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
    return _count_separators(b"".join(pieces[::2])) > limit


def _count_separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[")


def exceeds_depth(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Return whether JSON is nested deeper than the limit."""
    level = [value]
    for _ in range(limit):
        level = [item for outer in level for item in _nested_values(outer)]
        if not level:
            return False
    return True


def _nested_values(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, dict | list)]


async def iter_body(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """Yield the body of a request as it arrives; raises PayloadTooLarge or ClientDisconnected."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise PayloadTooLarge(limit)
        more = message.get("more_body", False)
        if part:
            yield part
