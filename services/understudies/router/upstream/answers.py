"""A teacher's whole answer, read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from understudies.events import Usage
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.upstream.asking import Asking
from understudies.router.upstream.client import Reply
from understudies.router.upstream.deadlines import Deadline
from understudies.router.upstream.failed import TROUBLES, Failed, broken_answer, by_trouble, object_in
from understudies.router.upstream.headers import kept
from understudies.router.upstream.meter import Meter, Sizes, characters
from understudies.router.upstream.progress import Progress
from understudies.router.upstream.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Means:
    """What reading an answer takes: a meter, a steady clock, and the most bytes that an answer may have."""

    meter: Meter
    timer: Callable[[], float]
    limit: int


class Answers:
    """Asks one teacher once for an answer in one piece."""

    def __init__(self, means: Means) -> None:
        self._meter = means.meter
        self._timer = means.timer
        self._limit = means.limit

    async def ask(self, asking: Asking, upstream: Upstream, model: str) -> TeacherAnswer:
        """The answer; raises Failed."""
        body = asking.whole_body(model)
        progress = Progress()
        try:
            with upstream.first_byte(asking.until - self._timer()) as watch:
                reply = await upstream.post(asking.call, asking.api, asking.target, body, progress, fresh=asking.fresh)
                raw = await self.body(asking, upstream, reply, watch)
        except TROUBLES as trouble:
            raise by_trouble(trouble, accepted=progress.accepted(trouble)) from trouble
        return self.read(asking, upstream, model, reply, raw, len(body))

    async def body(self, asking: Asking, upstream: Upstream, reply: Reply, watch: Deadline) -> bytes:
        """The whole body, whose pieces have to come in time."""
        idle_s = upstream.spec.timeouts.idle_s

        def go_on() -> None:
            watch.again(min(idle_s, asking.until - self._timer()))

        try:
            return await reply.whole(self._limit, go_on)
        finally:
            reply.close()

    def read(
        self, asking: Asking, upstream: Upstream, model: str, reply: Reply, raw: bytes, request_bytes: int
    ) -> TeacherAnswer:
        """What a body answers; raises Failed, with the body where the caller is to see for himself."""
        headers = reply.headers()
        body = object_in(raw)
        if body is None:
            raise broken_answer(headers, "the teacher's answer is not JSON")
        call = asking.call
        try:
            answered = asking.dialect.answer(body)
        except ValueError as error:
            cost = self._meter.reported(
                _text(body.get("model")) or model, _usage(body), price=upstream.price, at=call.at
            )
            odd = TeacherError(reply.status, "not an answer", raw=raw, headers=kept(headers), cost_usd=cost)
            raise Failed(odd, moves=False, fault=False) from error
        named = answered.model or model
        sizes = Sizes(request_bytes, characters(answered.response))
        metered = self._meter.complete(model, named, answered.usage, sizes, price=upstream.price, at=call.at)
        return TeacherAnswer(
            answered.response,
            named,
            metered.usage,
            metered.cost_usd,
            (self._timer() - asking.began) * 1000,
            raw,
            kept(headers),
            reply.status,
            upstream.spec.name,
            metered.estimated,
            fallback=asking.fallback,
            in_vain=asking.in_vain,
        )


def _usage(body: dict[str, Any]) -> Usage:
    """The usage beside something that is no answer, in whichever API's names."""
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Usage(
        prompt_tokens=_count(counts.get("prompt_tokens")) or _count(counts.get("input_tokens")),
        completion_tokens=_count(counts.get("completion_tokens")) or _count(counts.get("output_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
