"""Send responses directly as ASGI messages, because this is the hot path."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import orjson
from starlette.types import Send

JSON_TYPE = "application/json"
EVENT_STREAM_TYPE = "text/event-stream; charset=utf-8"


SendWhole = Callable[[int, Mapping[str, str], bytes], Awaitable[None]]
"""Sends a response of a status, headers without any framing, and a body."""

_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})
_BODILESS: Final = frozenset({204, 304})


async def send_response(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, kind: str = JSON_TYPE
) -> None:
    """Send a whole response, at once if `send` has a `whole` for that, else as ASGI's two events."""
    is_framed = status in _BODILESS or not _FRAMING.isdisjoint(headers)
    whole: SendWhole | None = None if is_framed else getattr(send, "whole", None)
    if whole is not None:
        await whole(status, headers if "content-type" in headers else {**headers, "content-type": kind}, body)
        return
    await send({"type": "http.response.start", "status": status, "headers": _encode_headers(headers, kind, len(body))})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
    """Send a whole response as JSON."""
    await send_response(send, status, headers or {}, orjson.dumps(value))


async def start_stream(send: Send, status: int, headers: Mapping[str, str], kind: str) -> None:
    """Begin a streamed response by sending its head."""
    await send({"type": "http.response.start", "status": status, "headers": _encode_headers(headers, kind, None)})


async def send_chunk(send: Send, data: bytes) -> None:
    """Send a chunk of a response that has begun."""
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end_stream(send: Send) -> None:
    """End a streamed response."""
    await send({"type": "http.response.body", "body": b""})


async def send_events(send: Send, headers: Mapping[str, str], events: Iterable[bytes]) -> None:
    """Send a whole response in the form of an event stream."""
    await start_stream(send, 200, headers, EVENT_STREAM_TYPE)
    await send_chunk(send, b"".join(events))
    await end_stream(send)


def _encode_headers(headers: Mapping[str, str], kind: str, length: int | None) -> list[tuple[bytes, bytes]]:
    raw = [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in headers.items() if n != "content-type"]
    raw.append((b"content-type", headers.get("content-type", kind).encode("latin-1")))
    if length is not None:
        raw.append((b"content-length", str(length).encode()))
    return raw
