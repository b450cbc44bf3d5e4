"""A teacher for tests: an OpenAI-compatible server on a loopback port whose answers a function decides."""

import itertools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Answer = Callable[[str], str]
"""Returns the answer to the text of the last message."""


class FakeTeacher:
    """Answer chat completions with `answer`, a text or a function of the last message's text.

    It listens on `host` and `port`; 0 takes a free one. `asked` counts the calls. Every answer is billed as 1,000
    prompt and 100 completion tokens of `model`.
    """

    def __init__(
        self,
        answer: str | Answer = "a teacher's answer",
        *,
        model: str = "gpt-4o",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._answer: Answer = answer if callable(answer) else lambda _: answer
        self._model = model
        self._address = host, port
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self.asked = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64_000_000)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked += 1
        return web.json_response(
            {
                "id": f"chatcmpl-{next(self._numbers)}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": self._model,
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": self._answer(_last_text(body))},
                    }
                ],
                "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
            }
        )


def _last_text(body: dict[str, Any]) -> str:
    content = body["messages"][-1].get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return str(content)
