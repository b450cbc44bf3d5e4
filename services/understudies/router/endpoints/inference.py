"""One call over HTTP: read, served by the call service, and answered in the caller's API."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from understudies.dialects.base import DecodedRequest, Dialect, InvalidRequest
from understudies.events import NewId, Templates
from understudies.router.budgets.call_budget import BudgetExceeded
from understudies.router.call import Call, TeacherError
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.auth import Principal
from understudies.router.endpoints.cancel_scope import CancelScope
from understudies.router.endpoints.errors import HttpError, request_timeout
from understudies.router.endpoints.headers import (
    ALIAS,
    CACHE,
    as_dict,
    call_headers,
    parse_critical,
    parse_episode,
    parse_task,
    read_metadata_task,
    serving_headers,
)
from understudies.router.endpoints.passthrough import PassthroughEndpoint
from understudies.router.endpoints.request_body import parse_json_object, read_body
from understudies.router.endpoints.responses import (
    EVENT_STREAM_TYPE,
    end_stream,
    send_chunk,
    send_events,
    send_response,
    start_stream,
)
from understudies.router.http1.disconnect import client_connection
from understudies.router.metrics import RouterMetrics
from understudies.router.serving.cache_policy import parse_cache_directives
from understudies.router.serving.call_service import CallService
from understudies.router.serving.cancellation import cancellation_error
from understudies.router.serving.results import CallResult, CallStream
from understudies.runtime.clock import Clock
from understudies.runtime.fast_dataclass import fast_dataclass

_FINAL_CHUNK_TIMEOUT_S: Final = 1.0


@fast_dataclass
class _ParsedCall:
    """A call, the body as it was parsed, and how the caller names the task."""

    call: Call
    body: Mapping[str, Any]
    task_name: str


class InferenceEndpoint:
    """Serves the calls of all APIs."""

    def __init__(
        self,
        call_service: CallService,
        *,
        admission: Admission,
        passthrough: PassthroughEndpoint,
        clock: Clock,
        new_id: NewId,
        sample: Callable[[], float],
        metrics: RouterMetrics,
        timer: Callable[[], float] = time.perf_counter,
        templates: Templates | None = None,
    ) -> None:
        self._call_service = call_service
        self._admission = admission
        self._passthrough = passthrough
        self._clock = clock
        self._new_id = new_id
        self._sample = sample
        self._metrics = metrics
        self._timer = timer
        self._templates = templates or Templates()

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises HttpError for what the caller is to be told."""
        began = self._timer()
        headers = as_dict(scope["headers"])
        admitted = self._admission.admit(headers)
        seconds = self._admission.timeout_s
        watch = CancelScope(client_connection(scope), seconds, is_reading_body=True)
        try:
            with watch:
                raw = await read_body(receive, headers.get("content-length"), self._admission.max_body_bytes)
                watch.body_received()
                body = parse_json_object(raw)
                try:
                    read = dialect.decode_request(body)
                except InvalidRequest as error:
                    unreadable = str(error)
                else:
                    query = scope["query_string"].decode("latin-1")
                    asked = self._parse_call(dialect, headers, admitted, raw, body, read, query)
                    return await self._answer(dialect, asked, send, began)
        except TimeoutError:
            raise (request_timeout if watch.is_reading_body else _answer_timeout)(seconds) from None
        model, task = str(body.get("model") or ""), read_metadata_task(body)
        named = parse_task(headers, task, model)
        named = named and self._admission.resolve_task(admitted.tenant, named)
        self._admission.check_budget_bypass(named, unreadable)
        if named is not None and (task is not None or model.startswith(ALIAS)):
            model = self._admission.teacher_model(named, model) if model.startswith(ALIAS) else model
            raw = orjson.dumps(_without_router_fields(body, model))
        return await self._passthrough.forward(scope, admitted, headers, raw, model or None, receive, send)

    def _parse_call(
        self,
        dialect: Dialect,
        headers: Mapping[str, str],
        admitted: Principal,
        raw: bytes,
        body: dict[str, Any],
        read: DecodedRequest,
        query: str,
    ) -> _ParsedCall:
        named = parse_task(headers, read.task, read.model)
        task = named or self._templates.task_of(read.request)
        task = self._admission.resolve_task(admitted.tenant, task)
        model = self._admission.teacher_model(task, read.model) if read.model.startswith(ALIAS) else read.model
        if model != read.model or read.task is not None:
            body = _without_router_fields(body, model)
            raw = orjson.dumps(body)
        wished = parse_cache_directives(headers.get(CACHE), headers.get("cache-control"))
        now = self._clock.now()
        call = Call(
            id=self._new_id(now),
            at=now,
            task=task,
            request=read.request,
            sample=self._sample(),
            episode=parse_episode(headers),
            tenant=admitted.tenant.name,
            model=model,
            critical=parse_critical(headers),
            stored=read.stored,
            api=dialect.api,
            stream=read.stream,
            include_usage=read.include_usage,
            accepts_cached=wished.read,
            allows_caching=wished.write,
            body=body,
            raw=raw,
            forwarded_headers=self._admission.upstream_headers(admitted, headers),
            query=query,
        )
        return _ParsedCall(call, body, admitted.tenant.display_name(task))

    async def _answer(self, dialect: Dialect, asked: _ParsedCall, send: Send, began: float) -> None:
        call = asked.call
        about = call_headers(asked.task_name, call.id)
        try:
            done = await (self._call_service.stream(call) if call.stream else self._call_service.serve(call))
        except asyncio.CancelledError as cancelled:
            self._count_cancelled(call, "none", cancellation_error(cancelled), began)
            raise
        except TeacherError as error:
            if isinstance(error, BudgetExceeded):
                self._metrics.record_budget_refusal(call.task)
            self._count(call, "none", error.code, error.status, began)
            body = error.raw or orjson.dumps(dialect.encode_error(error.status, error.message, code=error.code))
            return await send_response(send, error.status, {**error.headers, **about}, body)
        about |= serving_headers(done.serving)
        self._metrics.record_serving(call.task, done.serving)
        if isinstance(done, CallStream):
            self._metrics.record_first_byte(
                api=call.api, served_by=done.serving.served_by, seconds=self._timer() - began
            )
            try:
                await _send_stream(dialect, done, about, send)
            except asyncio.CancelledError as cancelled:
                if done.is_complete:
                    self._count(call, done.serving.served_by, done.serving.decision.reason, done.status, began)
                else:
                    self._count_cancelled(call, done.serving.served_by, cancellation_error(cancelled), began)
                raise
        elif call.stream:
            events = dialect.encode_stream(_response_body(dialect, asked, done), include_usage=call.include_usage)
            await send_events(send, about, events)
        else:
            raw = done.raw or orjson.dumps(_response_body(dialect, asked, done))
            await send_response(send, done.status, {**done.headers, **about}, raw)
        waited_s = None if isinstance(done, CallStream) else done.serving.upstream_ms / 1000
        return self._count(call, done.serving.served_by, done.serving.decision.reason, done.status, began, waited_s)

    def _count_cancelled(self, call: Call, served_by: str, stopped: TeacherError, began: float) -> None:
        """Nobody waits for the rest."""
        self._count(call, served_by, stopped.code, stopped.status, began)

    def _count(
        self, call: Call, served_by: str, reason: str, status: int, began: float, waited_s: float | None = None
    ) -> None:
        seconds = self._timer() - began
        self._metrics.record_request(
            api=call.api,
            task=call.task,
            served_by=served_by,
            reason=reason,
            status=status,
            seconds=seconds,
            overhead_s=None if waited_s is None else max(0.0, seconds - waited_s),
        )


async def _send_stream(dialect: Dialect, stream: CallStream, about: Mapping[str, str], send: Send) -> None:
    """Pass a teacher's stream on as it comes; what breaks off or is stopped ends with an error in the caller's API."""
    try:
        await start_stream(send, stream.status, {**stream.headers, **about}, EVENT_STREAM_TYPE)
        try:
            async for data in stream:
                await send_chunk(send, data)
        except TeacherError as error:
            await send_chunk(send, dialect.encode_error_event(error.message, error.code))
        await end_stream(send)
    except asyncio.CancelledError as cancelled:
        stopped = cancellation_error(cancelled)
        await stream.finish(stopped)
        if stopped.code != "hung_up" and not stream.is_complete:
            # What was passed may end inside an event.
            await _send_final_chunk(send, b"\n\n" + dialect.encode_error_event(stopped.message, stopped.code))
        raise
    finally:
        await stream.finish()


async def _send_final_chunk(send: Send, data: bytes) -> None:
    """The end of an answer, which a caller who does not take it cannot keep waiting."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FINAL_CHUNK_TIMEOUT_S):
            await send_chunk(send, data)
            await end_stream(send)


def _answer_timeout(seconds: float) -> HttpError:
    message = f"no answer within {seconds:g} s; set request_timeout_s, or ask for less"
    return HttpError(504, message, code="timeout")


def _response_body(dialect: Dialect, asked: _ParsedCall, served: CallResult) -> dict[str, Any]:
    """The body of an answer in the caller's API."""
    if served.raw is not None:
        body: dict[str, Any] = orjson.loads(served.raw)
        return body
    call = asked.call
    return dialect.encode_response(
        id=call.id, at=call.at, model=served.model, answer=served.response, usage=served.usage, request_body=asked.body
    )


def _without_router_fields(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The body without what was meant for the router."""
    kept = {key: value for key, value in body.items() if key != "metadata"}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        metadata = {key: value for key, value in metadata.items() if key != "task"}
    return {**kept, "model": model, **({"metadata": metadata} if metadata else {})}
