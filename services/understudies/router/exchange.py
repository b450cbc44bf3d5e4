"""One call over HTTP: read, served at the desk, and answered in the caller's API."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope, Send

from understudies.events import NewId, Templates
from understudies.router import headers as told
from understudies.router.access import Admitted
from understudies.router.call import Call, TeacherError
from understudies.router.caller import caller_of
from understudies.router.case import gave_up
from understudies.router.desk import Desk
from understudies.router.dialects import Dialect, Read, Unreadable
from understudies.router.errors import Problem, too_slow
from understudies.router.gate import Gate
from understudies.router.headers import ALIAS
from understudies.router.incoming import Watch, parsed, whole_body
from understudies.router.metrics import Metrics
from understudies.router.money import wish
from understudies.router.payment import OverBudget
from understudies.router.relaying import Relaying
from understudies.router.replies import EVENTS, begin, end, piece, reply, reply_events
from understudies.router.served import Served, Stream
from understudies.runtime import Clock
from understudies.runtime.plain import plain

_LAST_S: Final = 1.0


@plain
class _Asked:
    """A call, the body as it was parsed, and how the caller names the task."""

    call: Call
    body: Mapping[str, Any]
    shown: str


class Exchange:
    """Serves the calls of all APIs."""

    def __init__(
        self,
        desk: Desk,
        *,
        gate: Gate,
        relaying: Relaying,
        clock: Clock,
        new_id: NewId,
        draw: Callable[[], float],
        metrics: Metrics,
        timer: Callable[[], float] = time.perf_counter,
        templates: Templates | None = None,
    ) -> None:
        self._desk = desk
        self._gate = gate
        self._relaying = relaying
        self._clock = clock
        self._new_id = new_id
        self._draw = draw
        self._metrics = metrics
        self._timer = timer
        self._templates = templates or Templates()

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises Problem for what the caller is to be told."""
        began = self._timer()
        headers = told.plain(scope["headers"])
        admitted = self._gate.admit(headers)
        seconds = self._gate.seconds
        watch = Watch(caller_of(scope), seconds, reading=True)
        try:
            with watch:
                raw = await whole_body(receive, headers.get("content-length"), self._gate.max_body_bytes)
                watch.body_has_come()
                body = parsed(raw)
                try:
                    read = dialect.read(body)
                except Unreadable as error:
                    unreadable = str(error)
                else:
                    query = scope["query_string"].decode("latin-1")
                    asked = self._asked(dialect, headers, admitted, raw, body, read, query)
                    return await self._answer(dialect, asked, send, began)
        except TimeoutError:
            raise (too_slow if watch.reading else _too_long)(seconds) from None
        model, task = str(body.get("model") or ""), told.task_named_in(body)
        named = told.named_task(headers, task, model)
        named = named and self._gate.task_for(admitted.tenant, named)
        self._gate.check_unreadable(named, unreadable)
        if named is not None and (task is not None or model.startswith(ALIAS)):
            model = self._gate.teacher_model(named, model) if model.startswith(ALIAS) else model
            raw = orjson.dumps(_for_the_teacher(body, model))
        return await self._relaying.pass_on(scope, admitted, headers, raw, model or None, receive, send)

    def _asked(
        self,
        dialect: Dialect,
        headers: Mapping[str, str],
        admitted: Admitted,
        raw: bytes,
        body: dict[str, Any],
        read: Read,
        query: str,
    ) -> _Asked:
        named = told.named_task(headers, read.task, read.model)
        task = named or self._templates.task_of(read.request)
        task = self._gate.task_for(admitted.tenant, task)
        model = self._gate.teacher_model(task, read.model) if read.model.startswith(ALIAS) else read.model
        if model != read.model or read.task is not None:
            body = _for_the_teacher(body, model)
            raw = orjson.dumps(body)
        wished = wish(headers.get(told.CACHE), headers.get("cache-control"))
        now = self._clock.now()
        call = Call(
            id=self._new_id(now),
            at=now,
            task=task,
            request=read.request,
            draw=self._draw(),
            episode=told.episode(headers),
            tenant=admitted.tenant.name,
            model=model,
            critical=told.critical(headers),
            stored=read.stored,
            api=dialect.api,
            stream=read.stream,
            include_usage=read.include_usage,
            takes_cached=wished.read,
            lets_cache=wished.write,
            body=body,
            raw=raw,
            passed=self._gate.for_the_teacher(admitted, headers),
            query=query,
        )
        return _Asked(call, body, admitted.tenant.shown(task))

    async def _answer(self, dialect: Dialect, asked: _Asked, send: Send, began: float) -> None:
        call = asked.call
        about = told.about_call(asked.shown, call.id)
        try:
            done = await (self._desk.stream(call) if call.stream else self._desk.serve(call))
        except asyncio.CancelledError as cancelled:
            self._count_stopped(call, "none", gave_up(cancelled), began)
            raise
        except TeacherError as error:
            if isinstance(error, OverBudget):
                self._metrics.budget_refused(call.task)
            self._count(call, "none", error.code, error.status, began)
            body = error.raw or orjson.dumps(dialect.error(error.status, error.message, code=error.code))
            return await reply(send, error.status, {**error.headers, **about}, body)
        about |= told.about_service(done.by)
        self._metrics.served(call.task, done.by)
        if isinstance(done, Stream):
            self._metrics.first_byte(api=call.api, served_by=done.by.served_by, seconds=self._timer() - began)
            try:
                await _pass(dialect, done, about, send)
            except asyncio.CancelledError as cancelled:
                if done.whole:
                    self._count(call, done.by.served_by, done.by.decision.reason, done.status, began)
                else:
                    self._count_stopped(call, done.by.served_by, gave_up(cancelled), began)
                raise
        elif call.stream:
            events = dialect.events(_body(dialect, asked, done), include_usage=call.include_usage)
            await reply_events(send, about, events)
        else:
            raw = done.raw or orjson.dumps(_body(dialect, asked, done))
            await reply(send, done.status, {**done.headers, **about}, raw)
        waited_s = None if isinstance(done, Stream) else done.by.waited_ms / 1000
        return self._count(call, done.by.served_by, done.by.decision.reason, done.status, began, waited_s)

    def _count_stopped(self, call: Call, served_by: str, stopped: TeacherError, began: float) -> None:
        """Nobody waits for the rest."""
        self._count(call, served_by, stopped.code, stopped.status, began)

    def _count(
        self, call: Call, served_by: str, reason: str, status: int, began: float, waited_s: float | None = None
    ) -> None:
        seconds = self._timer() - began
        self._metrics.request(
            api=call.api,
            task=call.task,
            served_by=served_by,
            reason=reason,
            status=status,
            seconds=seconds,
            overhead_s=None if waited_s is None else max(0.0, seconds - waited_s),
        )


async def _pass(dialect: Dialect, stream: Stream, about: Mapping[str, str], send: Send) -> None:
    """Pass a teacher's stream on as it comes; what breaks off or is stopped ends with an error in the caller's API."""
    try:
        await begin(send, stream.status, {**stream.headers, **about}, EVENTS)
        try:
            async for data in stream:
                await piece(send, data)
        except TeacherError as error:
            await piece(send, dialect.error_event(error.message, error.code))
        await end(send)
    except asyncio.CancelledError as cancelled:
        stopped = gave_up(cancelled)
        await stream.finish(stopped)
        if stopped.code != "hung_up" and not stream.whole:
            # What was passed may end inside an event.
            await _last(send, b"\n\n" + dialect.error_event(stopped.message, stopped.code))
        raise
    finally:
        await stream.finish()


async def _last(send: Send, data: bytes) -> None:
    """The end of an answer, which a caller who does not take it cannot keep waiting."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_S):
            await piece(send, data)
            await end(send)


def _too_long(seconds: float) -> Problem:
    message = f"no answer within {seconds:g} s; set request_timeout_s, or ask for less"
    return Problem(504, message, code="timeout")


def _body(dialect: Dialect, asked: _Asked, served: Served) -> dict[str, Any]:
    """The body of an answer in the caller's API."""
    if served.raw is not None:
        body: dict[str, Any] = orjson.loads(served.raw)
        return body
    call = asked.call
    return dialect.render(
        id=call.id, at=call.at, model=served.model, response=served.response, usage=served.usage, asked=asked.body
    )


def _for_the_teacher(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The body without what was meant for the router."""
    kept = {key: value for key, value in body.items() if key != "metadata"}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        metadata = {key: value for key, value in metadata.items() if key != "task"}
    return {**kept, "model": model, **({"metadata": metadata} if metadata else {})}
