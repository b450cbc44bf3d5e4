"""Forward a teacher's streamed answer as it arrives, and assemble it on the way."""

import json
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
    """A stream whose first chunk has arrived.

    Iterate it once. Call `answer` at any time, and `close` if the stream is not read to its end. `first` is the
    caller's part of the first chunk, of which `taken` bytes were received.
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

    @property
    def has_answer(self) -> bool:
        return self._accumulator.finished

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes for the caller; raises TeacherError if the stream breaks off."""
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
        """Return the answer so far; raises TeacherError, with the cost, if it is not a valid answer.

        A caller that disconnects once the answer is complete, before the end of the transfer, counts as served.
        """
        client_disconnected = client_disconnected and not self._accumulator.finished
        latency_ms = ((self._ended or self._timer()) - self._request.started_at) * 1000
        answered = self._decoded()
        model = answered.model if answered is not None and answered.model else self._model
        metered = self._metered_charge(model, answered)
        failure = self._failure(answered, client_disconnected)
        if failure is not None or answered is None:
            status, message, code = failure or (502, _TRUNCATED, "teacher_answer_broken")
            raise TeacherError(
                status,
                message,
                code=code,
                headers=self.headers,
                latency_ms=latency_ms,
                cost_usd=metered.cost_usd,
                unproductive_attempts=self._request.unproductive_attempts,
                earlier_cost_usd=self._request.earlier_cost_usd,
            )
        return TeacherAnswer(
            answered.response,
            model,
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
            earlier_cost_usd=self._request.earlier_cost_usd,
        )

    def body(self) -> bytes:
        """The answer so far, in the format of a non-streamed response."""
        body = self._accumulator.body()
        try:
            return orjson.dumps(body)
        except TypeError:
            return json.dumps(body).encode()  # it holds half a surrogate pair, or an integer beyond 64 bits

    async def close(self) -> None:
        """Close the stream without waiting for what the teacher may still be writing."""
        if self._ended is None:
            self._upstream.counts.cancelled += 1
            self._end()

    async def _next(self) -> bytes:
        try:
            chunk = self._reply.read_nowait() or await self._wait()
            self._left -= len(chunk)
            if self._left < 0:
                raise ResponseTooLarge("the teacher's stream is too large")
        except TRANSPORT_ERRORS as error:
            return self._break(failure_from_transport_error(error).error)
        if chunk:
            return self._boundary_buffer.feed(self._accumulator.feed(chunk))
        held = self._accumulator.end()
        if self._accumulator.finished or self._accumulator.failed:
            self._end()
            return self._boundary_buffer.flush() + held
        return self._break(TeacherError(502, _TRUNCATED, code="teacher_answer_broken"))

    async def _wait(self) -> bytes:
        with self._upstream.next_chunk_deadline(self._request.deadline - self._timer()):
            return await self._reply.read_chunk()

    def _break(self, error: TeacherError) -> bytes:
        """Return the last bytes for the caller; drop a partial event, unless the answer is complete."""
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

    def _failure(self, answered: DecodedResponse | None, client_disconnected: bool) -> tuple[int, str, str] | None:
        """Return the failure that makes this no answer, as status, message and code; None if it is an answer."""
        if self._accumulator.failed is not None:
            return 502, self._accumulator.failed, "teacher_error"
        if self._broken is not None:
            return self._broken.status, self._broken.message, self._broken.code
        if self._accumulator.damage is not None:
            return 502, self._accumulator.damage, "teacher_answer_broken"
        if client_disconnected and answered is None:
            return 499, "the caller disconnected before the answer began", "hung_up"
        return None if client_disconnected or self._accumulator.finished else (502, _TRUNCATED, "teacher_answer_broken")

    def _metered_charge(self, model: str, answered: DecodedResponse | None) -> Charge:
        if self._charge is not None:
            return self._charge
        complete = self._accumulator.finished and answered is not None
        metered = (self._meter.complete if complete else self._meter.partial)(
            self._model,
            model,
            answered.usage if answered is not None else Usage(),
            CallSizes(self._request_bytes, self._accumulator.characters),
            price=self._upstream.price,
            at=self._request.call.at,
        )
        if self._ended is not None:
            self._charge = metered
        return metered
