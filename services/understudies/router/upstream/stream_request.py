"""Ask a teacher for a streamed answer, and read it as a whole if it is not a stream."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import orjson

from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.sse import holds_event_end
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.http1.response import HttpResponse, ProtocolError
from understudies.router.upstream.failures import (
    TRANSPORT_ERRORS,
    AttemptFailed,
    AttemptProgress,
    failure_from_transport_error,
    in_stream_failure,
    malformed_answer,
)
from understudies.router.upstream.request import UpstreamRequest
from understudies.router.upstream.stream import UpstreamStream
from understudies.router.upstream.unary_request import ReadContext, UnaryRequester
from understudies.router.upstream.upstream import Upstream

_EVENT_PREFIXES: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_MAX_FIRST_EVENT: Final = 16_384
"""The most bytes to wait for the end of the first event; more of an incomplete event is passed on as it arrives."""
_LEADING_SPACE: Final = b"\xef\xbb\xbf\r\n\t "


class BufferedStream:
    """The answer of a teacher that does not stream: a single chunk, as received."""

    def __init__(
        self, status: int, headers: Mapping[str, str], raw: bytes, answer: TeacherAnswer | TeacherError
    ) -> None:
        self.status = status
        self.headers = headers
        self.teacher = "" if isinstance(answer, TeacherError) else answer.teacher
        self._raw = raw
        self._answer = answer
        self._pieces = [raw]
        self.fallback = isinstance(answer, TeacherAnswer) and answer.fallback
        self.has_answer = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the body, once."""
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()

    def answer(self, *, client_disconnected: bool = False) -> TeacherAnswer:
        """Return the answer, complete even if the caller disconnects; raises TeacherError if it is not valid."""
        if isinstance(self._answer, TeacherError):
            raise self._answer
        return self._answer

    def body(self) -> bytes:
        """The answer as received."""
        return self._raw

    async def close(self) -> None:
        """Do nothing: the connection is closed already."""


class StreamRequester:
    """Ask one teacher once for a streamed answer."""

    def __init__(self, unary: UnaryRequester, context: ReadContext) -> None:
        self._unary = unary
        self._context = context

    async def ask(self, request: UpstreamRequest, upstream: Upstream, model: str) -> UpstreamStream | BufferedStream:
        """Return the answer once its first chunk has arrived; raises AttemptFailed.

        A teacher that refuses the option which the router adds is asked again without it, once, and then always.
        """
        option = upstream.stream_usage
        body, passes_whole = request.stream_body(model, add_usage=option.is_wanted(model))
        if passes_whole:
            return await self._ask(request, upstream, model, body, passes_whole)
        try:
            answer = await self._ask(request, upstream, model, body, passes_whole)
        except AttemptFailed as failed:
            if not option.may_be_refused(model, failed):
                raise
            answer = await self._ask(request, upstream, model, *request.stream_body(model, add_usage=False))
            option.record_refusal(model, failed)
        else:
            option.record_acceptance(model)
        return answer

    async def _ask(
        self, request: UpstreamRequest, upstream: Upstream, model: str, body: bytes, passes_whole: bool
    ) -> UpstreamStream | BufferedStream:
        progress = AttemptProgress()
        try:
            with upstream.first_byte_deadline(request.deadline - self._context.timer()) as deadline:
                reply = await upstream.post(request.call, request.api, request.target, body, progress)
                try:
                    stream = await self._open_stream(request, upstream, model, reply, len(body), passes_whole)
                    if isinstance(stream, UpstreamStream):
                        return stream
                    raw = stream + await self._unary.read_body(request, upstream, reply, deadline)
                except BaseException:
                    reply.close()
                    raise
        except TRANSPORT_ERRORS as error:
            raise failure_from_transport_error(error, billable=progress.is_billable(error)) from error
        return self._buffer_stream(request, upstream, model, reply, raw, len(body))

    async def _open_stream(
        self,
        request: UpstreamRequest,
        upstream: Upstream,
        model: str,
        reply: HttpResponse,
        request_bytes: int,
        passes_whole: bool,
    ) -> UpstreamStream | bytes:
        """Open the stream, or return the first bytes of a body that is not a stream."""
        if reply.content_type == "application/json":
            return b""
        first = await self._read_first_event(reply)
        start = first.lstrip(_LEADING_SPACE)
        if start.startswith((b"{", b"[")):
            return first
        if reply.content_type != "text/event-stream" and not start.startswith(_EVENT_PREFIXES):
            kind = reply.content_type or "of no type"
            raise malformed_answer(reply.headers(), f"the teacher's answer is {kind}, not a stream")
        accumulator = request.dialect.stream_accumulator(include_usage=passes_whole, parse=orjson.loads)
        shown = accumulator.feed(first)
        if accumulator.failed is not None and not accumulator.characters:
            raise in_stream_failure(reply.headers(), accumulator.failed)
        return UpstreamStream(
            request,
            upstream,
            model,
            reply,
            accumulator=accumulator,
            first=shown,
            taken=len(first),
            request_bytes=request_bytes,
            context=self._context,
        )

    async def _read_first_event(self, reply: HttpResponse) -> bytes:
        """Read until an event has ended: the caller gets no part of one, and a first one may tell an error."""
        first = await reply.read_chunk()
        if not first:
            raise ProtocolError("the stream is empty")
        while len(first) <= _MAX_FIRST_EVENT and not first.startswith(b"{") and not holds_event_end(first):
            more = await reply.read_chunk()
            if not more:
                break
            first += more
        return first

    def _buffer_stream(
        self,
        request: UpstreamRequest,
        upstream: Upstream,
        model: str,
        reply: HttpResponse,
        raw: bytes,
        request_bytes: int,
    ) -> BufferedStream:
        try:
            answer = self._unary.decode(request, upstream, model, reply, raw, request_bytes)
        except AttemptFailed as failed:
            if failed.error.raw is None or isinstance(failed.__cause__, AnswerError):
                raise
            failed.error.unproductive_attempts = request.unproductive_attempts
            failed.error.earlier_cost_usd = request.earlier_cost_usd
            return BufferedStream(reply.status, failed.error.headers, raw, failed.error)
        return BufferedStream(answer.status, answer.headers, raw, answer)
