"""An endpoint of students for tests: streams or answers whole, with log-probabilities, or misbehaves as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aiohttp import web

Behavior = Literal[
    "answer",
    "whole",
    "forget",
    "cut_json",
    "cut_stream",
    "drip",
    "drip_stream",
    "drop",
    "error_event",
    "error_line",
    "fail",
    "gone",
    "gone_in_full",
    "hang",
    "html",
    "huge",
    "huge_line",
    "limit",
    "malformed",
    "no_choice",
    "no_path",
    "not_utf8",
    "odd_chunk",
    "redirect",
    "reset",
    "silent",
]
BROKEN: tuple[Behavior, ...] = tuple(mood for mood in get_args(Behavior) if mood not in ("answer", "whole", "forget"))
USAGE = {"prompt_tokens": 40, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 16}}


@dataclass
class StudentServer:
    """What it answers, and what it was asked.

    `tokens` are texts with their log-probabilities, None for none. Where `wait_after` is set, that many are sent and
    then nothing more. `client_disconnected` is set when a caller leaves before the end.
    """

    tokens: Sequence[tuple[str, float | None]] = (("re", -0.1), ("fund", -0.2))
    calls: Sequence[dict[str, Any]] = ()
    behavior: Behavior = "answer"
    shape: Literal["openai", "llama", "llama_old"] = "openai"
    finish: str | None = None
    wait_after: int | None = None
    report_usage: bool = True
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    callers: set[Any] = field(default_factory=set)
    client_disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.callers.add(request.transport.get_extra_info("peername") if request.transport else None)
        self.arrived.set()
        try:
            return await self._misbehave(request) or await self._answer(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.client_disconnected.set()
            raise

    async def _misbehave(self, request: web.Request) -> web.StreamResponse | None:
        match self.behavior:
            case "fail":
                return web.json_response({"error": {"message": "broken on 'the prompt'"}}, status=500)
            case "limit":
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"})
            case "gone":
                told = f"The model `{self.bodies[-1]['model']}` does not exist."
                body = {"object": "error", "message": told, "type": "NotFoundError", "code": 404}
                return web.json_response(body, status=404)
            case "gone_in_full":
                error = {"message": "no such thing", "type": "invalid_request_error", "code": "model_not_found"}
                return web.json_response({"error": error}, status=404)
            case "no_path":
                return web.json_response({"detail": "Not Found"}, status=404)
            case "html":
                return web.Response(text="<h1>hello</h1>", content_type="text/html")
            case "not_utf8":
                return web.Response(body=b"\xff\xfe", content_type="application/json")
            case "redirect":
                return web.Response(status=307, headers={"location": f"{self.base_url}/chat/completions"})
            case "no_choice":
                return web.json_response({"choices": []})
            case "cut_json":
                return web.Response(body=json.dumps(self._completion())[:60], content_type="application/json")
            case "huge":
                return web.Response(body=b" " * 20_000_000, content_type="application/json")
            case "drop" | "reset":
                return await self._break(request)
            case "hang":
                await self.release.wait()
            case "drip":
                return await self._drip(request, json.dumps(self._completion()).encode(), "application/json")
            case "drip_stream":
                return await self._drip(request, b": still here\n\n", "text/event-stream")
        return None

    async def _break(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        if self.behavior == "reset":
            await response.prepare(request)
            await response.write(_event(self._chunk({"content": "half"}, [("half", -0.1)])))
        assert request.transport is not None
        request.transport.abort()
        return response

    async def _drip(self, request: web.Request, body: bytes, kind: str) -> web.StreamResponse:
        """A byte, and the next once nobody waits for it: an answer that comes, and never comes to its end."""
        response = web.StreamResponse(headers={"content-type": kind})
        await response.prepare(request)
        await response.write(body[:1])
        await self.release.wait()
        return response

    def _forget(self, request: web.Request) -> None:
        """Close the connection once the answer is written, without having said so."""
        assert request.transport is not None
        request.transport.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.behavior == "whole" or not self.bodies[-1].get("stream"):
            return web.json_response(self._completion())
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in self._events():
            if event is None:
                await self.release.wait()
            else:
                await response.write(event)
        if self.behavior == "forget":
            await response.write_eof()
            self._forget(request)
        return response

    def _events(self) -> list[bytes | None]:
        events: list[bytes | None] = [_event(self._chunk({"role": "assistant", "content": ""}, []))]
        events += [_event(self._chunk({"content": text}, [(text, value)])) for text, value in self.tokens]
        if self.wait_after is not None:
            return [*events[: 1 + self.wait_after], None]
        for index, call in enumerate(self.calls):
            events += [_event(self._chunk({"tool_calls": [piece]}, [])) for piece in _pieces(index, call)]
        match self.behavior:
            case "cut_stream":
                return events
            case "malformed":
                return [*events, b'data: {"choices": [\n\n']
            case "error_event":
                return [*events, _event({"error": {"message": "out of memory"}})]
            case "error_line":
                return [*events, b'error: {"message": "out of memory"}\n\n']
            case "odd_chunk":
                return [*events, _event({"choices": [{"index": 0, "delta": {"content": 3}}]})]
            case "huge_line":
                return [*events, b"data: " + b"x" * 20_000_000]
            case "silent":
                events = []
        events.append(_event(self._chunk({}, [], self._finish())))
        if self.report_usage:
            events.append(_event({"choices": [], "usage": self._usage()}))
        return [*events, b"data: [DONE]\n\n"]

    def _finish(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")

    def _usage(self) -> dict[str, Any]:
        return {**USAGE, "completion_tokens": len(self.tokens)}

    def _chunk(
        self, delta: dict[str, Any], tokens: Sequence[tuple[str, float | None]], finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self._with_tokens({"object": "chat.completion.chunk", "choices": [choice]}, tokens)

    def _completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(text for text, _ in self.tokens) or None}
        if self.calls:
            message["tool_calls"] = list(self.calls)
        choice = {"index": 0, "message": message, "finish_reason": self._finish()}
        body = {"object": "chat.completion", "choices": [choice], "usage": self._usage()}
        return self._with_tokens(body, self.tokens)

    def _with_tokens(self, body: dict[str, Any], tokens: Sequence[tuple[str, float | None]]) -> dict[str, Any]:
        known = [(text, value) for text, value in tokens if value is not None]
        if not known or not self.bodies[-1].get("logprobs"):
            return body
        if self.shape == "openai":
            body["choices"][0]["logprobs"] = {"content": [{"token": text, "logprob": value} for text, value in known]}
        elif self.shape == "llama":
            body["completion_probabilities"] = [{"id": 1, "token": text, "logprob": value} for text, value in known]
        else:
            body["completion_probabilities"] = [_old_llama(text, value) for text, value in known]
        return body


@asynccontextmanager
async def student_server(**answers: Any) -> AsyncIterator[StudentServer]:
    """Serve `/v1/chat/completions` on a free loopback port."""
    server = StudentServer(**answers)
    app = web.Application(client_max_size=64_000_000)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        server.release.set()
        await runner.cleanup()


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _pieces(index: int, call: dict[str, Any]) -> list[dict[str, Any]]:
    """A tool call as it is streamed: its id and name, then its arguments letter by letter."""
    function = call["function"]
    begin = {"index": index, "id": call["id"], "type": "function", "function": {"name": function["name"]}}
    return [begin, *({"index": index, "function": {"arguments": letter}} for letter in function["arguments"])]


def _old_llama(text: str, value: float) -> dict[str, Any]:
    others = {"tok_str": "other", "prob": 0.001}
    return {"content": text, "probs": [others, {"tok_str": text, "prob": 2.718281828459045**value}]}
