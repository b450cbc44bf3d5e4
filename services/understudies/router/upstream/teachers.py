"""All teachers: asked with patience, one after the other where one fails."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from understudies.router.call import Call, TeacherAnswer, TeacherError, TeacherStream
from understudies.router.http1.client import HttpClient
from understudies.router.http1.response import ConnectError
from understudies.router.upstream.catalogue import TeacherCatalogue, UnknownModel, UpstreamCandidate
from understudies.router.upstream.failures import AttemptFailed
from understudies.router.upstream.metering import UsageMeter
from understudies.router.upstream.passthrough import (
    PassthroughBody,
    PassthroughResponse,
    send_passthrough,
    speaks_anthropic,
)
from understudies.router.upstream.request import UpstreamRequest, make_upstream_request
from understudies.router.upstream.retry_policy import delay_s
from understudies.router.upstream.stream_request import StreamRequester
from understudies.router.upstream.unary_request import ReadContext, UnaryRequester
from understudies.router.upstream.upstream import Upstream
from understudies.runtime.clock import Clock, SystemClock
from understudies.runtime.rules.teacher import TeacherSpec

MAX_ANSWER_BYTES: Final = 64_000_000

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_Ask = Callable[[UpstreamRequest, Upstream, str], Awaitable[_Answer]]


class TeacherPool:
    """The teachers of a catalogue, whole and in pieces.

    `choose_teacher` names the teacher that a call's task is to have, whatever its model. Waits between attempts are
    slept by `sleep` and drawn by `draw`, uniform in [0, 1); `timer` is a steady clock in seconds.
    """

    def __init__(
        self,
        catalogue: TeacherCatalogue,
        *,
        client: HttpClient | None = None,
        clock: Clock | None = None,
        choose_teacher: Callable[[Call], str | None] = lambda _: None,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._client = client or HttpClient()
        self._clock = clock or SystemClock()
        self._choose_teacher = choose_teacher
        self._timer = timer
        self._sleep = sleep
        self._draw = draw
        means = ReadContext(UsageMeter(), timer, max_answer_bytes)
        self._unary = UnaryRequester(means)
        self._streaming = StreamRequester(self._unary, means)
        self._upstreams: dict[str, Upstream] = {}
        self.update_catalogue(catalogue)

    def update_catalogue(self, catalogue: TeacherCatalogue) -> None:
        """Ask the teachers of another catalogue from now on; those that stay as they are keep what is known of them."""
        known = self._upstreams
        self._catalogue = catalogue
        self._upstreams = {
            name: known[name] if name in known and known[name].spec == spec else Upstream(spec, self._client)
            for name, spec in catalogue.teachers.items()
        }

    @property
    def upstreams(self) -> list[Upstream]:
        """The teachers with their breakers and counts, for metrics."""
        return list(self._upstreams.values())

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        """The whole answer, past any cache where `fresh`; raises TeacherError."""
        return await self._with_failover(call, self._unary.ask, fresh=fresh)

    async def stream(self, call: Call) -> TeacherStream:
        """The answer once its first piece has come; raises TeacherError."""
        return await self._with_failover(call, self._streaming.ask)

    async def pass_through(
        self,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        body: PassthroughBody = None,
        model: str | None = None,
    ) -> PassthroughResponse:
        """What the teacher of a model answers to anything under /v1, as it comes; raises TeacherError.

        Without a model the catalogue's default teacher is asked. A body that comes in pieces is sent as it comes.
        """
        try:
            spec = self._default(path_and_query, headers) if model is None else self._catalogue.find(model)
        except UnknownModel as error:
            raise TeacherError(404, str(error), code="model_not_found") from error
        return await send_passthrough(self._client, spec, method, path_and_query, headers, body)

    def list_sources(self, path_and_query: str, headers: Mapping[str, str]) -> list[tuple[TeacherSpec, bool]]:
        """All teachers, the default one first, and whether each may be asked for what it lists.

        A caller's key is meant for the default teacher: others are asked where they are sent none, or are there too.
        """
        first = self._default(path_and_query, headers)
        others = [upstream.spec for upstream in self.upstreams if upstream.spec is not first]
        return [(first, True), *((spec, _takes_no_key(spec) or spec.origin == first.origin) for spec in others)]

    async def pass_through_to(
        self, spec: TeacherSpec, method: str, path_and_query: str, headers: Mapping[str, str]
    ) -> PassthroughResponse:
        """What one teacher answers to anything under /v1; raises TeacherError."""
        return await send_passthrough(self._client, spec, method, path_and_query, headers, None)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _default(self, path_and_query: str, headers: Mapping[str, str]) -> TeacherSpec:
        lower = {name.lower(): value for name, value in headers.items()}
        return self._catalogue.default("messages" if speaks_anthropic(path_and_query, lower) else None)

    async def _with_failover(self, call: Call, ask: _Ask[_Answer], *, fresh: bool = False) -> _Answer:
        """The first teacher's answer, or that of the first of its fallbacks which has one.

        A `fresh` answer is to be compared with another one of the same teacher: no fallback gives that.
        """
        chain, upstreams = self._chain(call), self._upstreams
        asking = make_upstream_request(call, self._timer(), chain[0].spec.timeouts.total_s, fresh=fresh)
        failures: list[TeacherError] = []
        for candidate in chain[:1] if fresh else chain:
            upstream = upstreams[candidate.spec.name]
            if candidate is not chain[0] and not asking.fallback:
                asking = replace(asking, fallback=True)
            if call.query and candidate is not chain[0]:
                asking = replace(asking, with_query=candidate.spec.origin == chain[0].spec.origin)
            try:
                return await self._with_retries(asking, upstream, candidate.model, ask)
            except AttemptFailed as failed:
                failures.append(failed.error)
                asking = replace(asking, unproductive_attempts=failed.error.unproductive_attempts)
                if not failed.failover and len(failures) == 1:
                    break
            if self._timer() >= asking.deadline:
                break
        error = _most_informative(failures)
        error.unproductive_attempts = asking.unproductive_attempts
        error.latency_ms = (self._timer() - asking.started_at) * 1000
        raise error

    async def _with_retries(
        self, asking: UpstreamRequest, upstream: Upstream, model: str, ask: _Ask[_Answer]
    ) -> _Answer:
        """One teacher's answer, after retries where need be; raises AttemptFailed with the unproductive attempts."""
        last: AttemptFailed | None = None
        retries = 0
        while True:
            ticket = upstream.breaker.acquire(self._timer())
            if ticket is None:
                refused = last or upstream.circuit_open_failure(self._timer())
                refused.error.unproductive_attempts = asking.unproductive_attempts
                raise refused
            well: bool | None = None
            try:
                answer = await ask(asking, upstream, model)
                well = True
            except AttemptFailed as failed:
                well = not failed.counts_against_breaker
                asking = replace(asking, unproductive_attempts=asking.unproductive_attempts + failed.billable)
                failed.error.unproductive_attempts = asking.unproductive_attempts
                upstream.counts.failed += 1
                _log_failure(asking.call, upstream, failed)
                wait_s = self._retry_delay(asking, upstream, failed, retries)
                if wait_s is None:
                    raise
                last = failed
            else:
                upstream.counts.answered += 1
                return answer
            finally:
                upstream.record_outcome(ticket, well, self._timer())
            retries += 1
            upstream.counts.retried += 1
            await self._sleep(wait_s)

    def _retry_delay(
        self, asking: UpstreamRequest, upstream: Upstream, failed: AttemptFailed, retries: int
    ) -> float | None:
        if not failed.retry:
            return None
        left_s = asking.deadline - self._timer()
        draw = 0.0 if failed.retry_immediately and retries == 0 else self._draw()
        return delay_s(retries, failed.headers, upstream.spec.retries, draw=draw, left_s=left_s, now=self._clock.now())

    def _chain(self, call: Call) -> tuple[UpstreamCandidate, ...]:
        api = call.api if call.raw is not None else "chat"
        try:
            return self._catalogue.chain(call.model, api, self._choose_teacher(call))
        except UnknownModel as error:
            raise TeacherError(404, str(error), code="model_not_found") from error


def _log_failure(call: Call, upstream: Upstream, failed: AttemptFailed) -> None:
    """Log a failure without anything that was asked or answered; the breaker keeps these few."""
    level = logging.WARNING if failed.counts_against_breaker else logging.INFO
    why = failed.__cause__ if isinstance(failed.__cause__, ConnectError) else failed.error.code
    _log.log(level, "teacher %s failed on call %s: %d, %s", upstream.spec.name, call.id, failed.error.status, why)


def _takes_no_key(spec: TeacherSpec) -> bool:
    return spec.has_own_key or spec.auth == "none"


def _most_informative(failures: list[TeacherError]) -> TeacherError:
    """The first that a teacher answered itself, else the first."""
    return next((error for error in failures if error.raw is not None), failures[0])
