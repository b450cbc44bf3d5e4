"""A teacher's answer in pieces, passed on as it comes and put together on the way."""

from collections.abc import AsyncIterator, Mapping

import orjson

from understudies.events import Usage
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.dialects import Answered, Assembler
from understudies.router.upstream.answers import Means
from understudies.router.upstream.asking import Asking
from understudies.router.upstream.client import Reply, TooLarge
from understudies.router.upstream.failed import TROUBLES, by_trouble
from understudies.router.upstream.headers import kept
from understudies.router.upstream.meter import Metered, Sizes
from understudies.router.upstream.upstream import Upstream
from understudies.router.upstream.whole_events import WholeEvents

_CUT = "the teacher's stream ended before its answer did"


class HttpStream:
    """A stream of which the first piece has come.

    Iterate it once. `answer` may be asked for at any time, `close` has to be called where it is not read to its end.
    `first` is what the caller gets of the first piece, of which `taken` bytes came.
    """

    def __init__(
        self,
        asking: Asking,
        upstream: Upstream,
        model: str,
        reply: Reply,
        *,
        assembler: Assembler,
        first: bytes,
        taken: int,
        request_bytes: int,
        means: Means,
    ) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = kept(reply.headers())
        self.teacher = upstream.spec.name
        self.first_byte_ms = (means.timer() - asking.began) * 1000
        self._asking = asking
        self.fallback = asking.fallback
        self._upstream = upstream
        self._model = model
        self._reply = reply
        self._assembler = assembler
        self._whole = WholeEvents()
        self._first = self._whole.feed(first)
        self._request_bytes = request_bytes
        self._meter = means.meter
        self._timer = means.timer
        self._left = means.limit - taken
        self._ended: float | None = None
        self._broken: TeacherError | None = None
        self._metered: Metered | None = None

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

    def answer(self, *, hung_up: bool = False) -> TeacherAnswer:
        """What was answered so far; raises TeacherError where that is no answer, with what it cost.

        Who hangs up once it is whole, but for the end of the transfer, has had it.
        """
        hung_up = hung_up and not self._assembler.finished
        latency_ms = ((self._ended or self._timer()) - self._asking.began) * 1000
        answered = self._answered()
        named = answered.model if answered is not None and answered.model else self._model
        metered = self._reckoned(named, answered)
        wrong = self._wrong(answered, hung_up)
        if wrong is not None or answered is None:
            status, message, code = wrong or (502, _CUT, "teacher_answer_broken")
            raise TeacherError(
                status,
                message,
                code=code,
                headers=self.headers,
                latency_ms=latency_ms,
                cost_usd=metered.cost_usd,
                in_vain=self._asking.in_vain,
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
            hung_up=hung_up,
            fallback=self.fallback,
            in_vain=self._asking.in_vain,
        )

    def body(self) -> bytes:
        """The answer as far as known, as it is where nothing is streamed."""
        return orjson.dumps(self._assembler.body())

    async def close(self) -> None:
        """End it; what the teacher may still be writing is not waited for."""
        if self._ended is None:
            self._upstream.counts.cancelled += 1
            self._end()

    async def _next(self) -> bytes:
        try:
            piece = self._reply.here() or await self._wait()
            self._left -= len(piece)
            if self._left < 0:
                raise TooLarge("the teacher's stream is larger than it may be")
        except TROUBLES as trouble:
            return self._break(by_trouble(trouble).error)
        if piece:
            return self._whole.feed(self._assembler.feed(piece))
        held = self._assembler.end()
        if self._assembler.finished or self._assembler.failed:
            self._end()
            return self._whole.rest() + held
        return self._break(TeacherError(502, _CUT, code="teacher_answer_broken"))

    async def _wait(self) -> bytes:
        with self._upstream.next_piece(self._asking.until - self._timer()):
            return await self._reply.piece()

    def _break(self, error: TeacherError) -> bytes:
        """What is left for the caller: half an event is shown to nobody, unless the answer is whole all the same."""
        if not self._assembler.finished:
            self._broken = error
            self._upstream.counts.broke_off += 1
            self._upstream.breaker.failed_late(self._timer())
        self._end()
        return self._whole.cut() if self._broken is not None else self._whole.rest()

    def _end(self) -> None:
        self._ended = self._timer()
        self._reply.close()

    def _answered(self) -> Answered | None:
        try:
            return self._assembler.answer()
        except ValueError:
            return None

    def _wrong(self, answered: Answered | None, hung_up: bool) -> tuple[int, str, str] | None:
        """Why this is no answer: status, message and code."""
        if self._assembler.failed is not None:
            return 502, self._assembler.failed, "teacher_error"
        if self._broken is not None:
            return self._broken.status, self._broken.message, self._broken.code
        if hung_up and answered is None:
            return 499, "the caller hung up before the answer began", "caller_hung_up"
        return None if hung_up or self._assembler.finished else (502, _CUT, "teacher_answer_broken")

    def _reckoned(self, named: str, answered: Answered | None) -> Metered:
        if self._metered is not None:
            return self._metered
        whole = self._assembler.finished and answered is not None
        metered = (self._meter.complete if whole else self._meter.partial)(
            self._model,
            named,
            answered.usage if answered is not None else Usage(),
            Sizes(self._request_bytes, self._assembler.chars),
            price=self._upstream.price,
            at=self._asking.call.at,
        )
        if self._ended is not None:
            self._metered = metered
        return metered
