"""A real HTTP server that answers chat completions as it is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Reply = Callable[[dict[str, Any]], dict[str, Any] | web.StreamResponse]
"""What the server answers to a body: a completion as JSON, or any response."""


@dataclass
class ChatServer:
    """Where it listens, and what it was asked."""

    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def chat_server(reply: Reply) -> AsyncIterator[ChatServer]:
    """Serve `/v1/chat/completions` on a free loopback port."""
    server = ChatServer()

    async def complete(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        server.bodies.append(body)
        server.keys.append(request.headers.get("authorization"))
        answer = reply(body)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()


def completion(message: dict[str, Any], logprobs: list[float] | None = None) -> dict[str, Any]:
    """A chat completion with one choice."""
    tokens = None if logprobs is None else {"content": [{"token": "t", "logprob": value} for value in logprobs]}
    return {
        "id": "c1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", **message}, "logprobs": tokens, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }
