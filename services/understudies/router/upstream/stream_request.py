"""Asks a teacher for an answer in pieces, and takes it whole where that is what comes."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import orjson

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
_LEADING_SPACE: Final = b"\xef\xbb\xbf\r\n\t "


class BufferedStream:
    """The answer of a teacher that streams nothing: one piece, as it came."""

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

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The body, once."""
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()

    def answer(self, *, client_disconnected: bool = False) -> TeacherAnswer:
        """What was answered, which is whole whoever hangs up; raises TeacherError where that is no answer."""
        if isinstance(self._answer, TeacherError):
            raise self._answer
        return self._answer

    def body(self) -> bytes:
        """The answer as it came."""
        return self._raw

    async def close(self) -> None:
        """Nothing is open."""


class StreamRequester:
    """Asks one teacher once for an answer in pieces."""

    def __init__(self, unary: UnaryRequester, context: ReadContext) -> None:
        self._unary = unary
        self._context = context

    async def ask(self, request: UpstreamRequest, upstream: Upstream, model: str) -> UpstreamStream | BufferedStream:
        """The answer, once its first piece has come; raises AttemptFailed."""
        body, usage_wanted = request.stream_body(model)
        progress = AttemptProgress()
        try:
            with upstream.first_byte_deadline(request.deadline - self._context.timer()) as watch:
                reply = await upstream.post(request.call, request.api, request.target, body, progress)
                try:
                    begun = await self._open_stream(request, upstream, model, reply, len(body), usage_wanted)
                    if isinstance(begun, UpstreamStream):
                        return begun
                    raw = begun + await self._unary.read_body(request, upstream, reply, watch)
                except BaseException:
                    reply.close()
                    raise
        except TRANSPORT_ERRORS as trouble:
            raise failure_from_transport_error(trouble, billable=progress.is_billable(trouble)) from trouble
        return self._buffer_stream(request, upstream, model, reply, raw, len(body))

    async def _open_stream(
        self,
        asking: UpstreamRequest,
        upstream: Upstream,
        model: str,
        reply: HttpResponse,
        request_bytes: int,
        usage_wanted: bool,
    ) -> UpstreamStream | bytes:
        """The stream, or what came first of a body that is none."""
        if reply.content_type == "application/json":
            return b""
        first = await reply.read_chunk()
        if not first:
            raise ProtocolError("the stream is empty")
        start = first.lstrip(_LEADING_SPACE)
        if start.startswith(b"{"):
            return first
        if reply.content_type != "text/event-stream" and not start.startswith(_EVENT_PREFIXES):
            kind = reply.content_type or "of no type"
            raise malformed_answer(reply.headers(), f"the teacher's answer is {kind}, not a stream")
        assembler = asking.dialect.stream_accumulator(include_usage=usage_wanted, parse=orjson.loads)
        shown = assembler.feed(first)
        if assembler.failed is not None and not assembler.characters:
            raise in_stream_failure(reply.headers(), assembler.failed)
        return UpstreamStream(
            asking,
            upstream,
            model,
            reply,
            accumulator=assembler,
            first=shown,
            taken=len(first),
            request_bytes=request_bytes,
            context=self._context,
        )

    def _buffer_stream(
        self,
        asking: UpstreamRequest,
        upstream: Upstream,
        model: str,
        reply: HttpResponse,
        raw: bytes,
        request_bytes: int,
    ) -> BufferedStream:
        try:
            answer = self._unary.decode(asking, upstream, model, reply, raw, request_bytes)
        except AttemptFailed as failed:
            if failed.error.raw is None:
                raise
            failed.error.unproductive_attempts = asking.unproductive_attempts
            return BufferedStream(reply.status, failed.error.headers, raw, failed.error)
        return BufferedStream(answer.status, answer.headers, raw, answer)
