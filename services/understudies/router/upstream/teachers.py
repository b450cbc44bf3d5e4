"""Call the teachers with retries and failover."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

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
    """The teachers of a catalogue, for complete and streamed answers.

    `choose_teacher` returns the teacher configured for a call's task, whatever its model. `sleep` waits between
    attempts, with jitter from `draw`, uniform in [0, 1); `timer` is a monotonic clock in seconds.
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
        context = ReadContext(UsageMeter(), timer, max_answer_bytes)
        self._unary = UnaryRequester(context)
        self._streaming = StreamRequester(self._unary, context)
        self._upstreams: dict[str, Upstream] = {}
        self.update_catalogue(catalogue)

    def update_catalogue(self, catalogue: TeacherCatalogue) -> None:
        """Use the teachers of another catalogue from now on; unchanged ones keep their breakers and counts."""
        previous = self._upstreams
        self._catalogue = catalogue
        self._upstreams = {
            name: previous[name] if name in previous and previous[name].spec == spec else Upstream(spec, self._client)
            for name, spec in catalogue.teachers.items()
        }

    @property
    def upstreams(self) -> list[Upstream]:
        """The teachers with their breakers and counts, for metrics."""
        return list(self._upstreams.values())

    # Not coroutine functions themselves: each coroutine around another costs a call as much as a look-up of its price.
    def ask(self, call: Call, *, fresh: bool = False) -> Coroutine[Any, Any, TeacherAnswer]:
        """Return the complete answer, bypassing any cache if `fresh`; raises TeacherError."""
        return self._with_failover(call, self._unary.ask, fresh=fresh)

    def stream(self, call: Call) -> Coroutine[Any, Any, TeacherStream]:
        """Return the answer once its first chunk has arrived; raises TeacherError."""
        return self._with_failover(call, self._streaming.ask)

    async def pass_through(
        self,
        method: str,
        path_and_query: str,
        headers: Mapping[str, str],
        body: PassthroughBody = None,
        model: str | None = None,
    ) -> PassthroughResponse:
        """Forward a request under /v1 to the teacher of a model, and stream the answer; raises TeacherError.

        Without a model it goes to the catalogue's default teacher. A body in chunks is forwarded as it arrives.
        """
        try:
            spec = self._default(path_and_query, headers) if model is None else self._catalogue.find(model)
        except UnknownModel as error:
            raise TeacherError(404, str(error), code="model_not_found") from error
        return await send_passthrough(self._client, spec, method, path_and_query, headers, body)

    def list_sources(self, path_and_query: str, headers: Mapping[str, str]) -> list[tuple[TeacherSpec, bool]]:
        """Return all teachers, the default one first, and whether each may be asked to list its models for the caller.

        A caller's key is meant for the default teacher: another one may be asked only if it takes no caller's key or
        has the same origin.
        """
        first = self._default(path_and_query, headers)
        others = [upstream.spec for upstream in self.upstreams if upstream.spec is not first]
        return [(first, True), *((spec, _takes_no_key(spec) or spec.origin == first.origin) for spec in others)]

    async def pass_through_to(
        self, spec: TeacherSpec, method: str, path_and_query: str, headers: Mapping[str, str]
    ) -> PassthroughResponse:
        """Forward a request under /v1 to one teacher; raises TeacherError."""
        return await send_passthrough(self._client, spec, method, path_and_query, headers, None)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _default(self, path_and_query: str, headers: Mapping[str, str]) -> TeacherSpec:
        lower = {name.lower(): value for name, value in headers.items()}
        return self._catalogue.default("messages" if speaks_anthropic(path_and_query, lower) else None)

    async def _with_failover(self, call: Call, ask: _Ask[_Answer], *, fresh: bool = False) -> _Answer:
        """Return the answer of the first teacher, or of the first of its fallbacks that gives one.

        A `fresh` answer is compared with another one of the same teacher, so it never comes from a fallback.
        """
        chain, upstreams = self._chain(call), self._upstreams
        request = make_upstream_request(call, self._timer(), chain[0].spec.timeouts.total_s, fresh=fresh)
        failures: list[TeacherError] = []
        for candidate in chain[:1] if fresh else chain:
            upstream = upstreams[candidate.spec.name]
            if candidate is not chain[0] and not request.fallback:
                request = replace(request, fallback=True)
            if call.query and candidate is not chain[0]:
                request = replace(request, with_query=candidate.spec.origin == chain[0].spec.origin)
            try:
                return await self._with_retries(request, upstream, candidate.model, ask)
            except AttemptFailed as failed:
                failures.append(failed.error)
                request = replace(
                    request,
                    unproductive_attempts=failed.error.unproductive_attempts,
                    earlier_cost_usd=failed.error.earlier_cost_usd + failed.error.cost_usd,
                )
                if not failed.failover and len(failures) == 1:
                    break
            if self._timer() >= request.deadline:
                break
        error = _most_informative(failures)
        error.unproductive_attempts = request.unproductive_attempts
        error.earlier_cost_usd = request.earlier_cost_usd - error.cost_usd
        error.latency_ms = (self._timer() - request.started_at) * 1000
        raise error

    async def _with_retries(
        self, request: UpstreamRequest, upstream: Upstream, model: str, ask: _Ask[_Answer]
    ) -> _Answer:
        """Return one teacher's answer, retrying if necessary; raises AttemptFailed with the earlier attempts' cost."""
        last: AttemptFailed | None = None
        retries = 0
        while True:
            permit = upstream.breaker.acquire(self._timer())
            if permit is None:
                refused = last or upstream.circuit_open_failure(self._timer())
                refused.error.unproductive_attempts = request.unproductive_attempts
                refused.error.earlier_cost_usd = request.earlier_cost_usd - refused.error.cost_usd
                raise refused
            ok: bool | None = None
            try:
                answer = await ask(request, upstream, model)
                ok = True
            except AttemptFailed as failed:
                ok = not failed.counts_against_breaker
                failed.error.earlier_cost_usd = request.earlier_cost_usd
                failed.error.unproductive_attempts = request.unproductive_attempts + failed.billable
                request = replace(
                    request,
                    unproductive_attempts=failed.error.unproductive_attempts,
                    earlier_cost_usd=request.earlier_cost_usd + failed.error.cost_usd,
                )
                upstream.counts.failed += 1
                _log_failure(request.call, upstream, failed)
                wait_s = self._retry_delay(request, upstream, failed, retries)
                if wait_s is None:
                    raise
                last = failed
            else:
                upstream.counts.answered += 1
                return answer
            finally:
                upstream.record_outcome(permit, ok, self._timer())
            retries += 1
            upstream.counts.retried += 1
            await self._sleep(wait_s)

    def _retry_delay(
        self, request: UpstreamRequest, upstream: Upstream, failed: AttemptFailed, retries: int
    ) -> float | None:
        if not failed.retry:
            return None
        left_s = request.deadline - self._timer()
        draw = 0.0 if failed.retry_immediately and retries == 0 else self._draw()
        return delay_s(retries, failed.headers, upstream.spec.retries, draw=draw, left_s=left_s, now=self._clock.now())

    def _chain(self, call: Call) -> tuple[UpstreamCandidate, ...]:
        api = call.api if call.raw is not None else "chat"
        try:
            chain = self._catalogue.chain(call.model, api, self._choose_teacher(call))
        except UnknownModel as error:
            raise TeacherError(404, str(error), code="model_not_found") from error
        return (UpstreamCandidate(chain[0].spec, call.successor),) if call.successor else chain


def _log_failure(call: Call, upstream: Upstream, failed: AttemptFailed) -> None:
    """Log a failure without any content of the request or answer; the breaker limits the number of lines."""
    level = logging.WARNING if failed.counts_against_breaker else logging.INFO
    cause = failed.__cause__ if isinstance(failed.__cause__, ConnectError) else failed.error.code
    _log.log(level, "teacher %s failed on call %s: %d, %s", upstream.spec.name, call.id, failed.error.status, cause)


def _takes_no_key(spec: TeacherSpec) -> bool:
    return spec.has_own_key or spec.auth == "none"


def _most_informative(failures: list[TeacherError]) -> TeacherError:
    """Return the first failure that carries a teacher's own body, else the first."""
    return next((error for error in failures if error.raw is not None), failures[0])
