"""A teacher's answer in pieces, passed on as it comes and put together on the way."""

from collections.abc import AsyncIterator, Mapping

import orjson

from understudies.dialects.base import DecodedResponse, StreamAccumulator
from understudies.dialects.sse import EventBoundaryBuffer
from understudies.events import Usage
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.http1.response import HttpResponse, ResponseTooLarge
from understudies.router.upstream.failures import TRANSPORT_ERRORS, failure_from_transport_error
from understudies.router.upstream.headers import response_headers
from understudies.router.upstream.metering import CallSizes, Charge
from understudies.router.upstream.request import UpstreamRequest
from understudies.router.upstream.unary_request import ReadContext
from understudies.router.upstream.upstream import Upstream

_TRUNCATED = "the teacher's stream ended before its answer did"


class UpstreamStream:
    """A stream of which the first piece has come.

    Iterate it once. `answer` may be asked for at any time, `close` has to be called where it is not read to its end.
    `first` is what the caller gets of the first piece, of which `taken` bytes came.
    """

    def __init__(
        self,
        request: UpstreamRequest,
        upstream: Upstream,
        model: str,
        reply: HttpResponse,
        *,
        accumulator: StreamAccumulator,
        first: bytes,
        taken: int,
        request_bytes: int,
        context: ReadContext,
    ) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = response_headers(reply.headers())
        self.teacher = upstream.spec.name
        self.first_byte_ms = (context.timer() - request.started_at) * 1000
        self._request = request
        self.fallback = request.fallback
        self._upstream = upstream
        self._model = model
        self._reply = reply
        self._accumulator = accumulator
        self._boundary_buffer = EventBoundaryBuffer()
        self._first = self._boundary_buffer.feed(first)
        self._request_bytes = request_bytes
        self._meter = context.meter
        self._timer = context.timer
        self._left = context.limit - taken
        self._ended: float | None = None
        self._broken: TeacherError | None = None
        self._charge: Charge | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes for the caller; raises TeacherError where the stream breaks off."""
        if self._first:
            first, self._first = self._first, b""
            return first
        while self._ended is None:
            shown = await self._next()
            if shown:
                return shown
        if self._broken is not None:
            raise self._broken
        raise StopAsyncIteration

    def answer(self, *, client_disconnected: bool = False) -> TeacherAnswer:
        """What was answered so far; raises TeacherError where that is no answer, with what it cost.

        Who hangs up once it is whole, but for the end of the transfer, has had it.
        """
        client_disconnected = client_disconnected and not self._accumulator.finished
        latency_ms = ((self._ended or self._timer()) - self._request.started_at) * 1000
        answered = self._decoded()
        named = answered.model if answered is not None and answered.model else self._model
        metered = self._metered_charge(named, answered)
        wrong = self._failure(answered, client_disconnected)
        if wrong is not None or answered is None:
            status, message, code = wrong or (502, _TRUNCATED, "teacher_answer_broken")
            raise TeacherError(
                status,
                message,
                code=code,
                headers=self.headers,
                latency_ms=latency_ms,
                cost_usd=metered.cost_usd,
                unproductive_attempts=self._request.unproductive_attempts,
            )
        return TeacherAnswer(
            answered.response,
            named,
            metered.usage,
            metered.cost_usd,
            latency_ms,
            headers=self.headers,
            status=self.status,
            teacher=self._upstream.spec.name,
            estimated=metered.estimated,
            client_disconnected=client_disconnected,
            fallback=self.fallback,
            unproductive_attempts=self._request.unproductive_attempts,
        )

    def body(self) -> bytes:
        """The answer as far as known, as it is where nothing is streamed."""
        return orjson.dumps(self._accumulator.body())

    async def close(self) -> None:
        """End it; what the teacher may still be writing is not waited for."""
        if self._ended is None:
            self._upstream.counts.cancelled += 1
            self._end()

    async def _next(self) -> bytes:
        try:
            piece = self._reply.read_nowait() or await self._wait()
            self._left -= len(piece)
            if self._left < 0:
                raise ResponseTooLarge("the teacher's stream is larger than it may be")
        except TRANSPORT_ERRORS as trouble:
            return self._break(failure_from_transport_error(trouble).error)
        if piece:
            return self._boundary_buffer.feed(self._accumulator.feed(piece))
        held = self._accumulator.end()
        if self._accumulator.finished or self._accumulator.failed:
            self._end()
            return self._boundary_buffer.flush() + held
        return self._break(TeacherError(502, _TRUNCATED, code="teacher_answer_broken"))

    async def _wait(self) -> bytes:
        with self._upstream.next_chunk_deadline(self._request.deadline - self._timer()):
            return await self._reply.read_chunk()

    def _break(self, error: TeacherError) -> bytes:
        """What is left for the caller: half an event is shown to nobody, unless the answer is whole all the same."""
        if not self._accumulator.finished:
            self._broken = error
            self._upstream.counts.broke_off += 1
            self._upstream.breaker.record_late_failure(self._timer())
        self._end()
        return self._boundary_buffer.abort() if self._broken is not None else self._boundary_buffer.flush()

    def _end(self) -> None:
        self._ended = self._timer()
        self._reply.close()

    def _decoded(self) -> DecodedResponse | None:
        try:
            return self._accumulator.answer()
        except ValueError:
            return None

    def _failure(self, answered: DecodedResponse | None, hung_up: bool) -> tuple[int, str, str] | None:
        """Why this is no answer: status, message and code."""
        if self._accumulator.failed is not None:
            return 502, self._accumulator.failed, "teacher_error"
        if self._broken is not None:
            return self._broken.status, self._broken.message, self._broken.code
        if hung_up and answered is None:
            return 499, "the caller hung up before the answer began", "caller_hung_up"
        return None if hung_up or self._accumulator.finished else (502, _TRUNCATED, "teacher_answer_broken")

    def _metered_charge(self, named: str, answered: DecodedResponse | None) -> Charge:
        if self._charge is not None:
            return self._charge
        whole = self._accumulator.finished and answered is not None
        metered = (self._meter.complete if whole else self._meter.partial)(
            self._model,
            named,
            answered.usage if answered is not None else Usage(),
            CallSizes(self._request_bytes, self._accumulator.characters),
            price=self._upstream.price,
            at=self._request.call.at,
        )
        if self._ended is not None:
            self._charge = metered
        return metered
