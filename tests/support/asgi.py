"""Ask an ASGI application without a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message


@dataclass(frozen=True)
class AsgiAnswer:
    """What the application answered."""

    status: int
    headers: Mapping[str, str]
    text: str


async def ask_app(
    app: ASGIApp,
    url: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    client: tuple[str, int] = ("127.0.0.1", 4711),
) -> AsgiAnswer:
    """Ask for a page; the headers of a browser on this machine are there unless others are given."""
    parts = urlsplit(url)
    given = {"host": "127.0.0.1:8080", "accept": "text/html", "content-length": str(len(body)), **(headers or {})}
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": parts.path,
        "query_string": parts.query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "client": client,
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    raw = b"".join(message.get("body", b"") for message in sent[1:])
    answered = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return AsgiAnswer(sent[0]["status"], answered, raw.decode())
