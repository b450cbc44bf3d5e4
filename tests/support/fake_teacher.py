"""A teacher for tests: a server on a loopback port that speaks the three APIs, and answers or misbehaves as told."""

import asyncio
import gzip
import json
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self

from aiohttp import web
from tests.support.fake_teacher_responses import (
    PATHS,
    Api,
    FakeAnswer,
    render_error_body,
    render_error_event,
    render_response,
    render_stream,
)

Behaviour = Literal[
    "answer",
    "fail",  # 500
    "unavailable",  # 503
    "overloaded",  # 529
    "limit",  # 429 with Retry-After, see `retry_after`
    "spent",  # 429 that no waiting mends
    "unauthorized",  # 401
    "refuse",  # 400
    "html",  # 502 from something in between
    "page",  # 200, but a web page
    "redirect",
    "drip",  # byte by byte
    "truncate",  # the JSON, or the stream, ends in the middle, properly as far as HTTP goes
    "not_json",  # text that is neither JSON nor events
    "odd",  # JSON that is no answer
    "odd_paid",  # the same, with a usage
    "error_first",  # a stream that begins with an error
    "error_event",  # a stream with an error in the middle
    "whole",  # one piece, also where a stream was asked for
    "no_usage",  # an answer without usage
    "zipped",  # compressed, though nobody asked for it
    "large",  # an answer of 20 MB
    "reset",  # the connection is reset in the middle of the body
    "cut",  # the connection is closed in the middle of the body
    "hang",  # nothing comes until `release`
    "ping",  # a stream that begins with a comment, and goes on with `release`
    "stall",  # the middle of the body, and no more until `release`
    "drop",  # the connection is closed before anything comes
]

LARGE: Final = 20_000_000
_STATUSES: Final[dict[Behaviour, tuple[int, str, str, str | None]]] = {
    "fail": (500, "server_error", "broken", None),
    "unavailable": (503, "server_error", "gone for a moment", None),
    "overloaded": (529, "overloaded_error", "Overloaded", None),
    "limit": (429, "rate_limit_error", "slow down", "rate_limit_exceeded"),
    "spent": (429, "insufficient_quota", "no money left", "insufficient_quota"),
    "unauthorized": (401, "invalid_request_error", "Incorrect API key provided: sk-own***ret", "invalid_api_key"),
    "refuse": (400, "invalid_request_error", "temperature is too high", None),
}


@dataclass(frozen=True)
class PassedRequest:
    """A request to any other path, as it came."""

    method: str
    path_and_query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class _ChunkedBody:
    """How a body is written: in pieces, and where it stops."""

    pieces: list[bytes]
    hold_after: int | None = None
    end: Literal["end", "reset", "close"] = "end"
    headers: dict[str, str] = field(default_factory=dict)


class FakeTeacher:
    """Answers chat completions, responses and messages, and echoes everything else under /v1.

    `asked`, `raws`, `headers` and `queries` keep what it was sent, and `passed` what went to other paths. The next
    answers are in the moods of `moods`, and all after them in `mood`. A stream stops after `hold_after` events, sets
    `held` and goes on with `release`. `cancelled` is set when a caller hung up before it was answered.
    """

    def __init__(self, text: str = "teacher's answer") -> None:
        self.text = text
        self.mood: Behaviour = "answer"
        self.moods: deque[Behaviour] = deque()
        self.message: dict[str, Any] | None = None
        self.models = ["gpt-4o-mini"]
        self.tools: tuple[dict[str, Any], ...] = ()
        self.retry_after: dict[str, str] = {"retry-after": "7"}
        self.extra: dict[str, str] = {}
        self.hold_after: int | None = None
        self.asked: list[dict[str, Any]] = []
        self.raws: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []
        self.passed: list[PassedRequest] = []
        self.arrived = asyncio.Event()
        self.held = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.connections: set[Any] = set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64_000_000)
        for api, path in PATHS.items():
            app.router.add_post(path, self._handler(api))
        app.router.add_route("*", "/v1/{rest:.*}", self._handle_other)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
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

    @property
    def said(self) -> FakeAnswer:
        """What it says when it answers."""
        return FakeAnswer(self.text, tools=self.tools, message=self.message)

    def completion(self) -> dict[str, Any]:
        """The chat completion that it answers when it answers."""
        return render_response("chat", self.said)

    def stream(self, api: Api = "chat", *, usage: bool = True) -> bytes:
        """The stream that it answers when it answers."""
        return b"".join(render_stream(api, self.said, usage=usage))

    def _handler(self, api: Api) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            body = json.loads(raw)
            self.raws.append(raw)
            self.asked.append(body)
            self.headers.append(_lower_case_headers(request))
            self.queries.append(request.query_string)
            return await self._respond_unless_disconnected(request, api, body)

        return handle

    async def _respond_unless_disconnected(
        self, request: web.Request, api: Api, body: dict[str, Any]
    ) -> web.StreamResponse:
        self.connections.add(request.transport)
        self.arrived.set()
        try:
            return await self._answer(request, api, body, self.moods.popleft() if self.moods else self.mood)
        except (asyncio.CancelledError, ConnectionError):
            self.cancelled.set()
            raise

    async def _answer(
        self, request: web.Request, api: Api, body: dict[str, Any], mood: Behaviour
    ) -> web.StreamResponse:
        named = {"x-request-id": f"req-{len(self.asked)}", "set-cookie": "session=secret", **self.extra}
        if mood in _STATUSES:
            status, kind, message, code = _STATUSES[mood]
            if mood == "limit":
                named |= self.retry_after
            return web.json_response(render_error_body(api, kind, message, code), status=status, headers=named)
        match mood:
            case "html":
                return web.Response(text="<h1>Bad Gateway</h1>", status=502, content_type="text/html")
            case "page":
                return web.Response(text="<h1>Sign in</h1>", content_type="text/html")
            case "redirect":
                return web.Response(status=307, headers={"location": f"{self.url}/chat/completions"})
            case "odd":
                return web.json_response({"object": "chat.completion", "choices": []}, headers=named)
            case "odd_paid":
                paid = {
                    key: value for key, value in render_response(api, self.said).items() if key in ("usage", "model")
                }
                return web.json_response({**paid, "detail": "moo"}, headers=named)
            case "hang":
                await self.release.wait()
            case "drop":
                assert request.transport is not None
                request.transport.close()
                return web.Response()
        if body.get("stream") is True and mood != "whole":
            return await self._write(request, self._build_stream(api, body, mood, named))
        return await self._write(request, self._build_response(api, mood, named))

    def _build_response(self, api: Api, mood: Behaviour, named: dict[str, str]) -> _ChunkedBody:
        answer = render_response(api, FakeAnswer("x" * LARGE) if mood == "large" else self.said)
        if mood == "no_usage":
            answer.pop("usage")
        body = b"moo" if mood == "not_json" else json.dumps(answer).encode()
        kind = "text/plain" if mood == "not_json" else "application/json"
        headers = {"content-type": kind, **named}
        middle = len(body) // 2
        match mood:
            case "zipped":
                return _ChunkedBody([gzip.compress(body)], headers={**headers, "content-encoding": "gzip"})
            case "truncate":
                return _ChunkedBody([body[:middle]], headers=headers)
            case "drip":
                return _ChunkedBody([bytes([byte]) for byte in body], headers=headers)
            case "reset" | "cut" | "stall":
                headers["content-length"] = str(len(body))
                end: Literal["end", "reset", "close"] = {"reset": "reset", "cut": "close"}.get(mood, "end")  # type: ignore[assignment]
                pieces = [body[:middle], *([body[middle:]] if mood == "stall" else [])]
                return _ChunkedBody(pieces, 1 if mood == "stall" else None, end, headers)
            case _:
                headers["content-length"] = str(len(body))
                return _ChunkedBody([body], headers=headers)

    def _build_stream(self, api: Api, body: dict[str, Any], mood: Behaviour, named: dict[str, str]) -> _ChunkedBody:
        options = body.get("stream_options") or {}
        usage = options.get("include_usage") is True and mood != "no_usage"
        events = render_stream(api, FakeAnswer("x" * LARGE) if mood == "large" else self.said, usage=usage)
        headers = {"content-type": "text/event-stream; charset=utf-8", **named}
        middle = (len(events) + 1) // 2
        match mood:
            case "truncate":
                half = len(events[middle]) // 2
                return _ChunkedBody([*events[:middle], events[middle][:half]], headers=headers)
            case "not_json":
                return _ChunkedBody([b"data: {moo\n\n", b"moo\n\n", b"\xff\xfe\n\n"], headers=headers)
            case "error_first":
                return _ChunkedBody([render_error_event(api)], headers=headers)
            case "error_event":
                return _ChunkedBody([*events[:middle], render_error_event(api)], headers=headers)
            case "drip":
                return _ChunkedBody([bytes([byte]) for byte in b"".join(events)], headers=headers)
            case "zipped":
                zipped = gzip.compress(b"".join(events))
                return _ChunkedBody([zipped], headers={**headers, "content-encoding": "gzip"})
            case "ping":
                return _ChunkedBody([b": still thinking\n\n", *events], 1, headers=headers)
            case "reset" | "cut":
                return _ChunkedBody(events[:middle], None, "reset" if mood == "reset" else "close", headers)
            case _:
                return _ChunkedBody(events, middle if mood == "stall" else self.hold_after, headers=headers)

    async def _write(self, request: web.Request, body: _ChunkedBody) -> web.StreamResponse:
        response = web.StreamResponse(headers=body.headers)
        await response.prepare(request)
        for place, piece in enumerate(body.pieces):
            if place == body.hold_after:
                self.held.set()
                await self.release.wait()
            await response.write(piece)
        if body.hold_after == len(body.pieces):
            self.held.set()
            await self.release.wait()
        if body.end == "end":
            await response.write_eof()
        else:
            _close_connection(request, reset=body.end == "reset")
        return response

    async def _handle_other(self, request: web.Request) -> web.StreamResponse:
        headers = _lower_case_headers(request)
        if request.path == "/v1/models" and request.method == "GET" and self.mood == "answer":
            self.passed.append(PassedRequest("GET", request.path_qs, headers, b""))
            listed = [{"id": name, "object": "model"} for name in self.models]
            return web.json_response({"object": "list", "data": listed})
        if self.moods or self.mood != "answer":
            self.passed.append(PassedRequest(request.method, request.path_qs, headers, await request.read()))
            return await self._respond_unless_disconnected(request, "chat", {})
        if request.path == "/v1/embeddings":
            return await self._embeddings(request, headers)
        return await self._echo(request, headers)

    async def _embeddings(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        raw = await request.read()
        self.passed.append(PassedRequest(request.method, request.path_qs, headers, raw))
        body = json.loads(raw)
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        listed = [
            {"object": "embedding", "index": place, "embedding": [float(len(str(text))), 0.5]}
            for place, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        answer = {"object": "list", "data": listed, "model": body["model"], "usage": usage}
        return web.json_response(answer, headers={"x-request-id": "req-embeddings"})

    async def _echo(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        """The body comes back piece by piece as it comes, or zipped where the query says `zip`."""
        kind = {"content-type": headers.get("content-type", "application/octet-stream"), "x-echo": request.method}
        if "zip" in request.query:
            raw = await request.read()
            self.passed.append(PassedRequest(request.method, request.path_qs, headers, raw))
            return web.Response(body=gzip.compress(raw), headers={**kind, "content-encoding": "gzip"})
        response = web.StreamResponse(headers={**kind, "set-cookie": "session=secret"})
        await response.prepare(request)
        body = bytearray()
        async for piece in request.content.iter_any():
            body += piece
            await response.write(piece)
        self.passed.append(PassedRequest(request.method, request.path_qs, headers, bytes(body)))
        await response.write_eof()
        return response


@contextmanager
def refusing_address() -> Iterator[str]:
    """The URL of a teacher on a port that is taken but refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def _close_connection(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    assert transport is not None
    if reset:
        # Closed with nothing lingering, a socket sends RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def _lower_case_headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
