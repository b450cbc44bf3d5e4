"""A webhook that answers as it is told and keeps what it got."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from understudies.router.http1.server import HttpServer


@dataclass
class WebhookServer:
    """The requests, each with its headers and body, and the statuses of the next answers; then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The texts of all requests."""
        return [str(self._parse(body)["text"]) for _, body in self.requests]

    @staticmethod
    def _parse(body: bytes) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(body)
        return parsed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.requests.append(({name.decode(): value.decode() for name, value in scope["headers"]}, body))
        status = self.statuses.pop(0) if self.statuses else 200
        headers = [(b"location", b"/elsewhere"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def webhook_server() -> AsyncIterator[WebhookServer]:
    """A webhook on a free port."""
    hook = WebhookServer()
    server = HttpServer(hook, "127.0.0.1", 0)
    await server.start()
    hook.url = f"{server.url}/hook/secret-part"
    try:
        yield hook
    finally:
        await server.stop()
