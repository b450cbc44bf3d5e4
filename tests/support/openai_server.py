"""A small server that speaks chat completions, streamed and whole."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}}
ARGUMENTS = '{"city": "Delft"}'
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}


@dataclass
class OpenAIServer:
    """Answers every call with what it was asked, in capitals, or with a call of a tool when it was given any."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call; a request for `fail` is refused, one for `break` is cut off in the middle."""
        body = await request.json()
        self.bodies.append(body)
        asked = body["messages"][-1]["content"]
        if asked == "fail":
            return web.json_response({"error": {"message": "no such thing", "type": "invalid"}}, status=400)
        if body.get("stream"):
            return await self._stream(request, body, asked)
        message: dict[str, Any] = {"role": "assistant", "content": asked.upper()}
        if body.get("tools"):
            message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
        finish = "tool_calls" if body.get("tools") else "stop"
        return web.json_response(
            _completion(body, choices=[{"index": 0, "message": message, "finish_reason": finish}], usage=USAGE)
        )

    async def _stream(self, request: web.Request, body: dict[str, Any], asked: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for delta, finish in _stream_deltas(body, asked):
            chunk = _completion(body, object="chat.completion.chunk")
            chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            if asked == "break" and delta.get("content"):
                assert request.transport is not None
                request.transport.abort()
                return response
        if (body.get("stream_options") or {}).get("include_usage"):
            chunk = _completion(body, object="chat.completion.chunk", choices=[], usage=USAGE)
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


def _completion(body: dict[str, Any], **rest: Any) -> dict[str, Any]:
    model = body["model"] + "-2026"
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": model, **rest}


def _stream_deltas(body: dict[str, Any], asked: str) -> list[tuple[dict[str, Any], str | None]]:
    pieces: list[tuple[dict[str, Any], str | None]]
    if not body.get("tools"):
        pieces = [({"content": letter}, None) for letter in asked.upper()]
        return [({"role": "assistant", "content": ""}, None), *pieces, ({}, "stop")]
    begin: dict[str, Any] = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": ""},
    }
    pieces = [({"tool_calls": [{"index": 0, "function": {"arguments": letter}}]}, None) for letter in ARGUMENTS]
    return [({"role": "assistant", "content": None, "tool_calls": [begin]}, None), *pieces, ({}, "tool_calls")]


@contextlib.asynccontextmanager
async def run_openai_server() -> AsyncIterator[OpenAIServer]:
    """The server on a free port, in this event loop."""
    server = OpenAIServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}/v1"
        yield server
    finally:
        await runner.cleanup()
