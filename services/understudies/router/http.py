"""The router over HTTP: OpenAI's chat completions."""

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from understudies.events import NewId
from understudies.router.asked import ALIAS, Asked, BadRequest, read
from understudies.router.call import Call, Served, TeacherError
from understudies.router.desk import Desk
from understudies.router.settings import RouterSettings
from understudies.router.wire import chunks, completion, error_body
from understudies.runtime import Clock

_VISIBLE = "!#$&'()*+,-.:;<=>?@[]^_`{|}~"
_log = logging.getLogger(__name__)


class Front:
    """Turns HTTP requests into calls for the desk, and what came of them into HTTP responses."""

    def __init__(
        self,
        desk: Desk,
        settings: RouterSettings,
        *,
        clock: Clock,
        new_id: NewId,
        draw: Callable[[], float],
        ready: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._draw = draw
        self._ready = ready

    def asgi(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
            ],
            exception_handlers={HTTPException: _http_error, Exception: _unexpected},
        )

    async def chat(self, request: Request) -> Response:
        """Serve a chat completion."""
        try:
            raw = await self._body(request)
            asked = read(raw, request.headers, self._settings.teacher_model)
        except BadRequest as error:
            return _error(400, str(error), "invalid_request_error", param=error.param)
        except _TooLarge as error:
            return _error(413, str(error), "invalid_request_error", "request_too_large")
        except ClientDisconnect:
            return Response(status_code=400)
        call = self._call(asked)
        try:
            served = await self._desk.serve(call)
        except TeacherError as error:
            raw = error.raw or orjson.dumps(error_body(error.message, "teacher_error", error.code))
            return Response(raw, error.status, {**error.headers, **_about(call)}, "application/json")
        return _answer(asked, call, served)

    async def models(self, _: Request) -> Response:
        """The tasks with a promoted student, as models."""
        names = [f"{ALIAS}{task}" for task in self._desk.table.tasks]
        if self._settings.teacher_model:
            names.insert(0, self._settings.teacher_model)
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "understudies"} for name in names]
        return JSONResponse({"object": "list", "data": listed})

    async def healthz(self, _: Request) -> Response:
        """The process is alive."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """The router takes calls."""
        ready = self._ready()
        return JSONResponse({"status": "ready" if ready else "starting"}, 200 if ready else 503)

    def _call(self, asked: Asked) -> Call:
        now = self._clock.now()
        return Call(
            id=self._new_id(now),
            at=now,
            task=asked.task,
            request=asked.request,
            draw=self._draw(),
            episode=asked.episode,
            model=asked.model,
            critical=asked.critical,
            raw=orjson.dumps(asked.body),
            stream=asked.stream,
            passed=asked.passed,
        )

    async def _body(self, request: Request) -> bytes:
        limit = self._settings.max_body_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise _TooLarge(limit)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise _TooLarge(limit)
        return bytes(body)


class _TooLarge(Exception):  # noqa: N818 - the name of the status
    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


def _answer(asked: Asked, call: Call, served: Served) -> Response:
    event = served.invocation
    raw = served.raw
    body = orjson.loads(raw) if raw else completion(call.id, call.at, event.model, served.response, event.usage)
    headers = {**served.headers, **_about(call), **_about_service(served)}
    if asked.stream:
        return StreamingResponse(
            chunks(body, include_usage=asked.include_usage), media_type="text/event-stream", headers=headers
        )
    return JSONResponse(body, headers=headers)


def _about(call: Call) -> dict[str, str]:
    return {"x-understudies-task": quote(call.task, safe=_VISIBLE), "x-understudies-invocation": call.id}


def _about_service(served: Served) -> dict[str, str]:
    event = served.invocation
    headers: dict[str, str] = {"x-understudies-served-by": event.served_by}
    if event.route is not None:
        headers["x-understudies-reason"] = event.route.reason
    if event.student is not None:
        headers["x-understudies-student"] = quote(event.student, safe=_VISIBLE)
    if event.confidence is not None:
        headers["x-understudies-confidence"] = f"{event.confidence:.6g}"
    return headers


def _error(status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> JSONResponse:
    return JSONResponse(error_body(message, kind, code, param), status)


async def _http_error(request: Request, error: Exception) -> Response:
    status, headers = 500, None
    detail: Any = "internal error"
    if isinstance(error, HTTPException):
        status, detail, headers = error.status_code, error.detail, error.headers
    message = f"{request.method} {request.url.path}: {detail}"
    return JSONResponse(error_body(message, "invalid_request_error"), status, _plain(headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(500, "the router failed; its log says why", "server_error")


def _plain(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    return dict(headers) if headers else None
