"""Serve calls over HTTP: read the body, have the call served, and respond in the format of the caller's API."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from understudies.datasets.consent import consent_tags
from understudies.dialects.base import DecodedRequest, Dialect, InvalidRequest
from understudies.dialects.json_fields import with_long_integers
from understudies.events import NewId, TenantTemplates
from understudies.router.call import Call, TeacherError
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.call_tracing import CallTracer
from understudies.router.endpoints.cancel_scope import CancelScope
from understudies.router.endpoints.content_encoding import decompress_body
from understudies.router.endpoints.errors import BadRequest, HttpError, request_timeout
from understudies.router.endpoints.headers import call_headers, serving_headers
from understudies.router.endpoints.passthrough import PassthroughEndpoint
from understudies.router.endpoints.request_body import (
    BYTE_ORDER_MARK,
    UnpairedSurrogate,
    parse_json_object,
    read_body,
)
from understudies.router.endpoints.request_context import ALIAS, RequestContext, metadata_task
from understudies.router.endpoints.responses import (
    EVENT_STREAM_TYPE,
    end_stream,
    send_chunk,
    send_events,
    send_response,
    start_stream,
)
from understudies.router.endpoints.task_limit import is_overflow
from understudies.router.metrics import RouterMetrics
from understudies.router.serving.call_lifecycle import cancellation_error
from understudies.router.serving.call_service import CallService
from understudies.router.serving.outcome import CallOutcome, CallResult, CallStream
from understudies.runtime.clock import Clock

_FINAL_CHUNK_TIMEOUT_S: Final = 1.0


class InferenceEndpoint:
    """Serve the calls of all APIs."""

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
        trace: CallTracer | None = None,
    ) -> None:
        self._call_service = call_service
        self._admission = admission
        self._passthrough = passthrough
        self._clock = clock
        self._new_id = new_id
        self._sample = sample
        self._count = metrics.record_outcome
        self._trace = trace or CallTracer()
        self._timer = timer
        self._templates = TenantTemplates()

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raises HttpError if it is refused."""
        context = self._admission.admit(scope, self._timer())
        seconds = self._admission.timeout_s
        watch = CancelScope(context.client, seconds, is_reading_body=True)
        try:
            with watch:
                raw = await read_body(receive, context.content_length, self._admission.max_body_bytes)
                watch.body_received()
                if context.content_encoding is not None:
                    raw = decompress_body(raw, context.content_encoding, self._admission.max_body_bytes)
                    context = context.with_decompressed_body()
                raw = raw.removeprefix(BYTE_ORDER_MARK)
                body, read, unreadable = self._parse_body(dialect, context, raw)
                if read is not None:
                    call = self._parse_call(dialect, context, raw, body, read)
                    return await self._answer(dialect, context, call, send)
        except TimeoutError:
            raise (request_timeout if watch.is_reading_body else _answer_timeout)(seconds) from None
        model, task = str(body.get("model") or ""), metadata_task(body)
        named = context.task_name(task, model)
        named = named and self._admission.resolve_task(context.principal.tenant, named)
        self._admission.check_budget_bypass(named, unreadable)
        if named is not None and (task is not None or model.startswith(ALIAS)):
            model = self._admission.teacher_model(named, model) if model.startswith(ALIAS) else model
            try:
                raw = dialect.encode_upstream_request(raw, body, model=model)
            except InvalidRequest as error:
                raise BadRequest(f"{unreadable}; {error}") from error
        return await self._passthrough.forward(scope, context, raw, model or None, send)

    def _parse_body(
        self, dialect: Dialect, context: RequestContext, raw: bytes
    ) -> tuple[dict[str, Any], DecodedRequest | None, str]:
        """Return a body as JSON and decoded, or as JSON alone with the reason why only a teacher can read it."""
        try:
            body = parse_json_object(raw)
        except UnpairedSurrogate as odd:
            self._admission.check_stored_state(context.principal, odd.body)
            return odd.body, None, str(odd)
        self._admission.check_stored_state(context.principal, body)
        if dialect.api == "messages" and b'"tool_use"' in raw:
            body = with_long_integers(raw, body)
        try:
            return body, dialect.decode_request(body), ""
        except InvalidRequest as error:
            return body, None, str(error)

    def _parse_call(
        self, dialect: Dialect, context: RequestContext, raw: bytes, body: dict[str, Any], read: DecodedRequest
    ) -> Call:
        tenant = context.principal.tenant
        named = context.task_name(read.task, read.model) or self._templates.task_of(tenant.template_scope, read.request)
        task = self._admission.resolve_task(tenant, named)
        model = self._admission.teacher_model(task, read.model) if read.model.startswith(ALIAS) else read.model
        if model != read.model or read.task is not None:
            raw = dialect.encode_upstream_request(raw, body, model=model)
            body = _without_router_fields(body, model)
        episode, critical, cache, consent = context.call_directives()
        now = self._clock.now()
        call_id = self._new_id(now)
        return Call(
            id=call_id,
            at=now,
            task=task,
            request=read.request,
            sample=self._sample(),
            episode=episode,
            traceparent=self._trace.begin(call_id, context.traceparent),
            tenant=tenant.name,
            model=model,
            tags=consent_tags(tenant.consent, consent),
            critical=critical or is_overflow(task),
            stored=read.stored,
            api=dialect.api,
            stream=read.stream,
            include_usage=read.include_usage,
            accepts_cached=cache.read,
            allows_caching=cache.write,
            body=body,
            raw=raw,
            forwarded_headers=context.upstream_headers(),
            query=context.query,
        )

    async def _answer(self, dialect: Dialect, context: RequestContext, call: Call, send: Send) -> None:
        about = call_headers(context.principal.tenant.display_name(call.task), call.id)
        service = self._call_service

        def count(outcome: CallOutcome) -> None:
            self._count(outcome)
            self._trace.end(outcome, context.traceparent)

        with service.begin(call, received_at=context.received_at, count=count) as lifecycle:
            try:
                done = await (service.stream(lifecycle) if call.stream else service.answer(lifecycle))
            except TeacherError as error:
                lifecycle.fail(error)
                body = error.raw or orjson.dumps(dialect.encode_error(error.status, error.message, code=error.code))
                lifecycle.record()
                await send_response(send, error.status, {**error.headers, **about}, body)
                return
            about |= serving_headers(done.serving)
            if isinstance(done, CallStream):
                await _send_stream(dialect, done, about, send)
            elif call.stream:
                events = dialect.encode_stream(_response_body(dialect, call, done), include_usage=call.include_usage)
                lifecycle.record()
                await send_events(send, about, events)
            else:
                raw = done.raw or orjson.dumps(_response_body(dialect, call, done))
                lifecycle.record()
                await send_response(send, done.status, {**done.headers, **about}, raw)


async def _send_stream(dialect: Dialect, stream: CallStream, about: Mapping[str, str], send: Send) -> None:
    """Forward a teacher's stream as it arrives; if it breaks off or is cancelled, end it with an error event."""
    try:
        await start_stream(send, stream.status, {**stream.headers, **about}, EVENT_STREAM_TYPE)
        try:
            async for data in stream:
                stream.report_answer()
                await send_chunk(send, data)
        except TeacherError as error:
            await send_chunk(send, dialect.encode_error_event(error.message, error.code))
        await stream.finish()
        await end_stream(send)
    except asyncio.CancelledError as cancelled:
        stopped = cancellation_error(cancelled)
        await stream.finish(stopped)
        if stopped.code != "hung_up" and not stream.is_complete:
            # The data sent so far may end in the middle of an event.
            await _send_final_chunk(send, b"\n\n" + dialect.encode_error_event(stopped.message, stopped.code))
        raise
    finally:
        await stream.finish()


async def _send_final_chunk(send: Send, data: bytes) -> None:
    """Send the last chunk and end the response, without waiting long for a client that does not read it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FINAL_CHUNK_TIMEOUT_S):
            await send_chunk(send, data)
            await end_stream(send)


def _answer_timeout(seconds: float) -> HttpError:
    message = f"no answer within {seconds:g} s; set request_timeout_s, or ask for less"
    return HttpError(504, message, code="timeout")


def _response_body(dialect: Dialect, call: Call, served: CallResult) -> dict[str, Any]:
    """Return the response body in the format of the caller's API."""
    if served.raw is not None:
        body: dict[str, Any] = orjson.loads(served.raw)
        return body
    return dialect.encode_response(
        id=call.id,
        at=call.at,
        model=served.model,
        answer=served.response,
        usage=served.usage,
        request_body=call.body or {},
    )


def _without_router_fields(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the body with this model, and without the fields that are meant for the router."""
    kept = {key: value for key, value in body.items() if key != "metadata"}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        metadata = {key: value for key, value in metadata.items() if key != "task"}
    return {**kept, "model": model, **({"metadata": metadata} if metadata else {})}
