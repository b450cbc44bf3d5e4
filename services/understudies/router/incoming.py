"""Requests as they come in: bodies within their limit, and callers that hang up."""

import asyncio
import math
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

import orjson
from starlette.types import Receive

from understudies.router.caller import ClientConnectionState
from understudies.router.case import CLIENT_DISCONNECTED, DEADLINE_EXCEEDED
from understudies.router.headers import BadRequest

MAX_DEPTH: Final = 100
"""Deepest nesting of a request's JSON."""

MAX_VALUES: Final = 50_000
"""Most values in a large request's JSON: to read so many takes a tenth of a second, in which nobody else is served."""

COUNT_VALUES_ABOVE_BYTES: Final = 256 * 1024
"""Bytes of a body up to which its values need not be counted."""


class PayloadTooLarge(Exception):  # noqa: N818 - the name of the status
    """The body is above its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class ClientDisconnected(Exception):  # noqa: N818 - what happened
    """The caller hung up."""


async def read_body(receive: Receive, declared: str | None, limit: int) -> bytes:
    """The body of a request; raises TooLarge or Gone."""
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


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a body; raises BadRequest."""
    if len(raw) > COUNT_VALUES_ABOVE_BYTES and exceeds_values(raw):
        raise BadRequest(f"the body holds more than {MAX_VALUES} values; send fewer messages or parts, or join them")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and exceeds_depth(body):
        raise BadRequest(f"the body is nested more than {MAX_DEPTH} levels deep")
    return body


def exceeds_values(raw: bytes, limit: int = MAX_VALUES) -> bool:
    """Whether JSON holds more values than the limit, without reading them.

    Its commas and brackets are counted, which takes a millisecond a megabyte. Those in its strings, such as code or
    logs, do not count, and are only taken out where there are few strings: each value has two at most.
    """
    if len(raw) <= 2 * limit or _count_separators(raw) <= limit:
        return False
    if raw.count(b'"') - raw.count(b'\\"') > 4 * (limit + 1):
        return True
    apart = raw.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
    return _count_separators(b"".join(apart[::2])) > limit


def _count_separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[")


def exceeds_depth(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether JSON is nested deeper than the limit."""
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
    """The body of a request as it comes; raises TooLarge or Gone."""
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


class CancelScope:
    """Cancels the work of a block when its caller hangs up, and raises Gone from it; `gone` tells whether it did.

    After so many seconds the work is cancelled too, and TimeoutError raised. Who hangs up during the `reading` of the
    body is noticed by whoever reads it: nobody is told here before that says that `body_has_come`.
    """

    def __init__(
        self, client: ClientConnectionState, seconds: float = math.inf, *, is_reading_body: bool = False
    ) -> None:
        self.client_disconnected = False
        self.is_reading_body = is_reading_body
        """Whether the body is still being read."""
        self._timed_out = False
        self._client = client
        self._seconds = seconds
        self._work: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._work = asyncio.current_task()
        self._client.add_listener(self, self._seconds)
        self._check_disconnected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.remove_listener(self)
        work, self._work = self._work, None
        if not (self.client_disconnected or self._timed_out) or work is None:
            return
        others = work.uncancel()
        if self.client_disconnected:
            raise ClientDisconnected from error
        if not others and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def body_received(self) -> None:
        """Be told from now on."""
        self.is_reading_body = False
        self._check_disconnected()

    def on_disconnect(self) -> None:
        """Cancel the work: nobody waits for it."""
        if self._work is not None and not (self.is_reading_body or self.client_disconnected or self._timed_out):
            self.client_disconnected = True
            self._work.cancel(CLIENT_DISCONNECTED)

    def on_deadline(self) -> None:
        """Cancel the work: it took too long."""
        if self._work is not None and not self.client_disconnected:
            self._timed_out = True
            self._work.cancel(DEADLINE_EXCEEDED)

    def _check_disconnected(self) -> None:
        if self._client.is_disconnected and not self.is_reading_body:
            # Later, as a task that cancels itself stays cancelled where it waits for nothing more in the block.
            asyncio.get_running_loop().call_soon(self.on_disconnect)
