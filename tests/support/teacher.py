"""A teacher for tests: an OpenAI-compatible server on a loopback port that answers or misbehaves as told."""

import asyncio
import json
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

Mood = Literal["answer", "fail", "limit", "drip", "truncate", "not_json", "odd", "hang", "drop", "html", "redirect"]


class FakeTeacher:
    """Answers `POST /v1/chat/completions`; `asked` and `headers` keep what it was sent."""

    def __init__(self, text: str = "teacher's answer") -> None:
        self.text = text
        self.mood: Mood = "answer"
        self.message: dict[str, Any] | None = None
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64_000_000)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def completion(self) -> dict[str, Any]:
        """What it answers when it answers."""
        message = self.message or {"role": "assistant", "content": self.text}
        return {
            "id": "chatcmpl-teacher",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "system_fingerprint": "fp_of_the_teacher",
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 1000,
                "completion_tokens": 100,
                "total_tokens": 1100,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        }

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(json.loads(await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.arrived.set()
        named = {"x-request-id": f"req-{len(self.asked)}", "set-cookie": "session=secret"}
        match self.mood:
            case "answer":
                return web.json_response(self.completion(), headers=named)
            case "fail":
                return web.json_response({"error": {"message": "broken", "type": "server_error"}}, status=500)
            case "limit":
                body = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
                return web.json_response(body, status=429, headers={**named, "retry-after": "7"})
            case "drip":
                return await self._drip(request)
            case "truncate":
                return web.Response(body=json.dumps(self.completion())[:80], content_type="application/json")
            case "not_json":
                return web.Response(text="moo")
            case "html":
                return web.Response(text="<h1>Bad Gateway</h1>", status=502, content_type="text/html")
            case "redirect":
                return web.Response(status=307, headers={"location": f"{self.url}/chat/completions"})
            case "odd":
                return web.json_response({"object": "chat.completion", "choices": []}, headers=named)
            case "hang":
                await self.release.wait()
                return web.json_response(self.completion())
            case "drop":
                assert request.transport is not None
                request.transport.close()
                return web.Response()

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        for byte in json.dumps(self.completion()).encode():
            await response.write(bytes([byte]))
        await response.write_eof()
        return response
