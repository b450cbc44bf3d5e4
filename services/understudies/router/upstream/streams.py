"""Asks a teacher for an answer in pieces, and takes it whole where that is what comes."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.upstream.answers import Answers, Means
from understudies.router.upstream.asking import Asking
from understudies.router.upstream.client import Broken, Reply
from understudies.router.upstream.failed import TROUBLES, Failed, broken_answer, by_trouble, failed_inside
from understudies.router.upstream.progress import Progress
from understudies.router.upstream.stream import HttpStream
from understudies.router.upstream.upstream import Upstream

_EVENT: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_WHITE: Final = b"\xef\xbb\xbf\r\n\t "


class WholeStream:
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

    def answer(self, *, hung_up: bool = False) -> TeacherAnswer:
        """What was answered, which is whole whoever hangs up; raises TeacherError where that is no answer."""
        if isinstance(self._answer, TeacherError):
            raise self._answer
        return self._answer

    def body(self) -> bytes:
        """The answer as it came."""
        return self._raw

    async def close(self) -> None:
        """Nothing is open."""


class Streams:
    """Asks one teacher once for an answer in pieces."""

    def __init__(self, answers: Answers, means: Means) -> None:
        self._answers = answers
        self._means = means

    async def ask(self, asking: Asking, upstream: Upstream, model: str) -> HttpStream | WholeStream:
        """The answer, once its first piece has come; raises Failed."""
        body, usage_wanted = asking.stream_body(model)
        progress = Progress()
        try:
            with upstream.first_byte(asking.until - self._means.timer()) as watch:
                reply = await upstream.post(asking.call, asking.api, asking.target, body, progress)
                try:
                    begun = await self._begun(asking, upstream, model, reply, len(body), usage_wanted)
                    if isinstance(begun, HttpStream):
                        return begun
                    raw = begun + await self._answers.body(asking, upstream, reply, watch)
                except BaseException:
                    reply.close()
                    raise
        except TROUBLES as trouble:
            raise by_trouble(trouble, accepted=progress.accepted(trouble)) from trouble
        return self._whole(asking, upstream, model, reply, raw, len(body))

    async def _begun(
        self, asking: Asking, upstream: Upstream, model: str, reply: Reply, request_bytes: int, usage_wanted: bool
    ) -> HttpStream | bytes:
        """The stream, or what came first of a body that is none."""
        if reply.content_type == "application/json":
            return b""
        first = await reply.piece()
        if not first:
            raise Broken("the stream is empty")
        start = first.lstrip(_WHITE)
        if start.startswith(b"{"):
            return first
        if reply.content_type != "text/event-stream" and not start.startswith(_EVENT):
            kind = reply.content_type or "of no type"
            raise broken_answer(reply.headers(), f"the teacher's answer is {kind}, not a stream")
        assembler = asking.dialect.assembler(include_usage=usage_wanted)
        shown = assembler.feed(first)
        if assembler.failed is not None and not assembler.chars:
            raise failed_inside(reply.headers(), assembler.failed)
        return HttpStream(
            asking,
            upstream,
            model,
            reply,
            assembler=assembler,
            first=shown,
            taken=len(first),
            request_bytes=request_bytes,
            means=self._means,
        )

    def _whole(
        self, asking: Asking, upstream: Upstream, model: str, reply: Reply, raw: bytes, request_bytes: int
    ) -> WholeStream:
        try:
            answer = self._answers.read(asking, upstream, model, reply, raw, request_bytes)
        except Failed as failed:
            if failed.error.raw is None:
                raise
            failed.error.in_vain = asking.in_vain
            return WholeStream(reply.status, failed.error.headers, raw, failed.error)
        return WholeStream(answer.status, answer.headers, raw, answer)
