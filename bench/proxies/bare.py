"""The least a proxy in this language can be: JSON read and written both ways, on the router's own server.

`python -m bench.proxies.bare PORT UPSTREAM`
"""

import asyncio
import sys

import aiohttp
import orjson
import uvloop
from starlette.types import Receive, Scope, Send

from understudies.router.http1.server import HttpServer


class BareProxy:
    """Passes chat completions on."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/v1/chat/completions"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        headers = {"content-type": "application/json"}
        status, answer = 400, b"{}"
        if body:
            asked = orjson.dumps(orjson.loads(body))
            async with self._session.post(self._url, data=asked, headers=headers, allow_redirects=False) as response:
                status, answer = response.status, orjson.dumps(orjson.loads(await response.read()))
        told = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": answer})


async def _main(port: int, url: str) -> None:
    connector = aiohttp.TCPConnector(limit=1000)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        server = HttpServer(BareProxy(session, url), "127.0.0.1", port)
        await server.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(int(sys.argv[1]), sys.argv[2]))
