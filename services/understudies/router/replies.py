"""What goes back over HTTP, written straight to ASGI: this is the hot path."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from starlette.types import Send

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


async def reply(send: Send, status: int, headers: Mapping[str, str], body: bytes, kind: str = JSON) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers, kind, len(body))})
    await send({"type": "http.response.body", "body": body})


async def reply_json(send: Send, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
    """A whole answer as JSON."""
    await reply(send, status, headers or {}, orjson.dumps(value))


async def begin(send: Send, status: int, headers: Mapping[str, str], kind: str) -> None:
    """The head of an answer that comes in pieces."""
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers, kind, None)})


async def piece(send: Send, data: bytes) -> None:
    """A piece of an answer that has begun."""
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end(send: Send) -> None:
    """The end of an answer that came in pieces."""
    await send({"type": "http.response.body", "body": b""})


async def reply_events(send: Send, headers: Mapping[str, str], events: Iterable[bytes]) -> None:
    """A whole answer in the form of a stream."""
    await begin(send, 200, headers, EVENTS)
    await piece(send, b"".join(events))
    await end(send)


def _raw(headers: Mapping[str, str], kind: str, length: int | None) -> list[tuple[bytes, bytes]]:
    raw = [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in headers.items() if n != "content-type"]
    raw.append((b"content-type", headers.get("content-type", kind).encode("latin-1")))
    if length is not None:
        raw.append((b"content-length", str(length).encode()))
    return raw
