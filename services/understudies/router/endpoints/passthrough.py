"""Pass requests that are not calls of a task through to the teacher, unchanged and unrecorded."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from understudies.router.call import TeacherError
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.cancel_scope import CancelScope
from understudies.router.endpoints.content_encoding import decompress_body
from understudies.router.endpoints.errors import ClientDisconnected, HttpError, PayloadTooLarge, request_timeout
from understudies.router.endpoints.request_body import COUNT_VALUES_ABOVE_BYTES, exceeds_values, iter_body, read_body
from understudies.router.endpoints.request_context import RequestContext, metadata_task
from understudies.router.endpoints.responses import end_stream, send_chunk
from understudies.router.upstream.teachers import TeacherPool

_WITH_A_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"}) | _WITH_A_BODY
_FORM_MODEL_FIELD: Final = re.compile(rb'\bname="?model"?(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)\r\n')
_FORM_SEARCH_BYTES: Final = 65_536
"""Number of bytes at the beginning of a form that are searched for its model."""
_MODELS: Final = "/v1/models/"
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([^"\\]*)"')
_UNMETERED_PATHS: Final = frozenset({"/v1/messages/count_tokens"})
"""Paths of requests that cost nothing, and so cannot bypass a budget."""
_ROUTER_HEADERS: Final = [(b"x-understudies-served-by", b"teacher"), (b"x-understudies-reason", b"passed_through")]


class PassthroughEndpoint:
    """Pass requests of any kind through: embeddings, files, batches, and bodies that only the teacher can read."""

    def __init__(self, teachers: TeacherPool, admission: Admission) -> None:
        self._teachers = teachers
        self._admission = admission

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through to a teacher."""
        if scope["method"] not in _METHODS:
            # TRACE would echo the headers, including the key.
            message, allow = f"{scope['method']} is not passed on", ", ".join(sorted(_METHODS))
            raise HttpError(405, message, code="method_not_allowed", headers={"allow": allow})
        context = self._admission.admit(scope)
        limit = self._admission.max_body_bytes
        if context.method in _WITH_A_BODY and context.content_type == "application/json":
            seconds = self._admission.timeout_s
            try:
                async with asyncio.timeout(seconds):
                    raw = await read_body(receive, context.content_length, limit)
            except TimeoutError:
                raise request_timeout(seconds) from None
            encoding = context.content_encoding
            model, task = _parse_model_and_task(raw if encoding is None else decompress_body(raw, encoding, limit))
            self._check_task(context, task, model)
            await self.forward(scope, context, raw, model, send)
        elif context.method in _WITH_A_BODY:
            self._check_task(context, None, None)
            upload = _StreamedUpload(receive, limit)
            try:
                with CancelScope(context.client, is_reading_body=True) as watch:
                    upload.on_received = watch.body_received
                    await self._forward(scope, context, upload, None, send)
            except TeacherError as error:
                raise upload.error or error from None
        else:
            await self.forward(scope, context, None, _model_in_path(context.path), send)

    def _check_task(self, context: RequestContext, task: object, model: object) -> None:
        """Raise HttpError if a request names a task with a budget, which it would bypass."""
        if context.path.rstrip("/") in _UNMETERED_PATHS:
            return
        named = context.task_name(None, model if isinstance(model, str) else "")
        if named is not None:
            named = self._admission.resolve_task(context.principal.tenant, named)
        elif isinstance(task, str):
            # The metadata may be meant for others and hold any text, so it is not validated as a task name.
            named = context.principal.tenant.qualified_name(task)
        self._admission.check_budget_bypass(named, f"{context.path} passes through")

    async def forward(
        self, scope: Scope, context: RequestContext, body: bytes | None, model: object, send: Send
    ) -> None:
        """Forward an admitted request whose body has been read; cancel it if the client disconnects."""
        with CancelScope(context.client):
            await self._forward(scope, context, body, model, send)

    async def _forward(
        self, scope: Scope, context: RequestContext, body: "bytes | _StreamedUpload | None", model: object, send: Send
    ) -> None:
        self._admission.check_passthrough_allowed(context.principal.tenant, context.method, context.path)
        seconds = self._admission.timeout_s
        try:
            async with asyncio.timeout(seconds):
                if isinstance(body, _StreamedUpload) and context.content_type == "multipart/form-data":
                    model = await body.model()
                answer = await self._teachers.pass_through(
                    context.method,
                    _target(scope),
                    context.passthrough_headers(),
                    body.iter_body() if isinstance(body, _StreamedUpload) else body,
                    model if isinstance(model, str) else None,
                )
                raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers]
                try:
                    await send(
                        {"type": "http.response.start", "status": answer.status, "headers": [*raw, *_ROUTER_HEADERS]}
                    )
                    async for data in answer:
                        await send_chunk(send, data)
                    await end_stream(send)
                finally:
                    await answer.close()
        except TimeoutError:
            raise HttpError(504, f"no answer within {seconds:g} s", code="timeout") from None


class _StreamedUpload:
    """A body that is forwarded as it arrives.

    `error` is the reason why it ended early, if it did: the HTTP client that sends the body would report a teacher's
    error instead. `on_received` is called once the whole body has arrived.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self.error: PayloadTooLarge | ClientDisconnected | None = None
        self.on_received: Callable[[], None] = lambda: None
        self._buffered = b""
        self._remaining = iter_body(receive, limit)

    async def model(self) -> str | None:
        """Return a form's field `model`, if near the beginning; raises PayloadTooLarge or ClientDisconnected."""
        named = None
        while named is None and len(self._buffered) < _FORM_SEARCH_BYTES:
            piece_of_it = await anext(self._remaining, b"")
            if not piece_of_it:
                break
            self._buffered += piece_of_it
            named = _FORM_MODEL_FIELD.search(self._buffered[:_FORM_SEARCH_BYTES])
        return named and named[1].decode("utf-8", "replace")

    async def iter_body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises PayloadTooLarge or ClientDisconnected."""
        try:
            if self._buffered:
                yield self._buffered
            async for piece_of_it in self._remaining:
                yield piece_of_it
            self.on_received()
        except (PayloadTooLarge, ClientDisconnected) as wrong:
            self.error = wrong
            raise


def _target(scope: Scope) -> str:
    """Return the path and query as they were sent."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")


def _model_in_path(path: str) -> str | None:
    """Return the model that a path names, or None."""
    return path.removeprefix(_MODELS) or None if path.startswith(_MODELS) else None


def _parse_model_and_task(raw: bytes) -> tuple[object, object]:
    """Return the model that a body names and the task in its metadata; None for each that it does not name.

    Both are None if the body is not a JSON object. In a body with too many values to parse, such as tokens to embed,
    the model is the first that is named anywhere, and the task is None.
    """
    if len(raw) > COUNT_VALUES_ABOVE_BYTES and exceeds_values(raw):
        named = _MODEL.search(raw)
        return named and named[1].decode("utf-8", "replace"), None
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, None
    return (body.get("model"), metadata_task(body)) if isinstance(body, dict) else (None, None)
