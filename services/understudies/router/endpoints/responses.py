"""What goes back over HTTP, written straight to ASGI: this is the hot path."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from starlette.types import Send

JSON_TYPE = "application/json"
EVENT_STREAM_TYPE = "text/event-stream; charset=utf-8"


async def send_response(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, kind: str = JSON_TYPE
) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": _encode_headers(headers, kind, len(body))})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
    """A whole answer as JSON."""
    await send_response(send, status, headers or {}, orjson.dumps(value))


async def start_stream(send: Send, status: int, headers: Mapping[str, str], kind: str) -> None:
    """The head of an answer that comes in pieces."""
    await send({"type": "http.response.start", "status": status, "headers": _encode_headers(headers, kind, None)})


async def send_chunk(send: Send, data: bytes) -> None:
    """A piece of an answer that has begun."""
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def end_stream(send: Send) -> None:
    """The end of an answer that came in pieces."""
    await send({"type": "http.response.body", "body": b""})


async def send_events(send: Send, headers: Mapping[str, str], events: Iterable[bytes]) -> None:
    """A whole answer in the form of a stream."""
    await start_stream(send, 200, headers, EVENT_STREAM_TYPE)
    await send_chunk(send, b"".join(events))
    await end_stream(send)


def _encode_headers(headers: Mapping[str, str], kind: str, length: int | None) -> list[tuple[bytes, bytes]]:
    raw = [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in headers.items() if n != "content-type"]
    raw.append((b"content-type", headers.get("content-type", kind).encode("latin-1")))
    if length is not None:
        raw.append((b"content-length", str(length).encode()))
    return raw
