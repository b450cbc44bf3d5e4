"""A teacher on a loopback port that replies with exactly what a function returns."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Reply = Callable[[bytes], web.Response]


@asynccontextmanager
async def scripted_upstream(reply: Reply) -> AsyncIterator[str]:
    """A server that replies so to every POST under /v1, given the body; yields its base URL."""

    async def handle(request: web.Request) -> web.Response:
        return reply(await request.read())

    app = web.Application()
    app.router.add_post("/v1/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


def json_reply(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def stream_reply(events: bytes) -> web.Response:
    return web.Response(body=events, content_type="text/event-stream")
