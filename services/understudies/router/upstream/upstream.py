"""One teacher: send requests to it, and keep its circuit breaker and counts."""

import logging
import math
from dataclasses import dataclass
from typing import Final

from yarl import URL

from understudies.dialects.base import Api
from understudies.router.call import Call, TeacherError
from understudies.router.circuit_breaker import CircuitBreaker
from understudies.router.http1.client import HttpClient
from understudies.router.http1.deadlines import Deadline, DeadlineFactory
from understudies.router.http1.response import HttpResponse
from understudies.router.upstream.failures import (
    TRANSPORT_ERRORS,
    AttemptFailed,
    AttemptProgress,
    failure_from_status,
    failure_from_transport_error,
)
from understudies.router.upstream.headers import teacher_headers
from understudies.router.upstream.stream_usage import StreamUsageOption
from understudies.runtime.rules.teacher import TeacherSpec

_log = logging.getLogger(__name__)
_FIXED_HEADERS: Final = {
    "content-type": "application/json",
    "accept-encoding": "identity",
    "user-agent": "understudies",
}


@dataclass(slots=True)
class UpstreamCounts:
    """Counts of a teacher's attempts by outcome; an attempt is one request sent to it."""

    attempts: int = 0
    answered: int = 0
    failed: int = 0
    retried: int = 0
    passed_over: int = 0
    broke_off: int = 0
    cancelled: int = 0


class Upstream:
    """A teacher with its breaker and counts; both last as long as its entry in the catalogue stays unchanged."""

    def __init__(self, spec: TeacherSpec, client: HttpClient) -> None:
        self.spec = spec
        self.price = spec.price
        self.breaker = CircuitBreaker(spec.breaker)
        self.counts = UpstreamCounts()
        self.stream_usage = StreamUsageOption(enabled=spec.stream_usage)
        self._client = client
        self._deadlines = DeadlineFactory()
        self._urls: dict[str, URL] = {}

    async def post(
        self, call: Call, api: Api, target: str, body: bytes, progress: AttemptProgress, *, fresh: bool = False
    ) -> HttpResponse:
        """Return an answer with a status of success once its headers have arrived; raises AttemptFailed."""
        self.counts.attempts += 1
        try:
            reply = await self._client.send(
                "POST",
                self._url(target),
                self._headers(call, api, fresh),
                body,
                connect_s=self.spec.timeouts.connect_s,
                on_sent=progress.mark_sent,
            )
        except TRANSPORT_ERRORS as error:
            raise failure_from_transport_error(error) from error
        if 200 <= reply.status < 300:
            progress.head = True
            return reply
        raise await self.read_failure(reply)

    async def read_failure(self, reply: HttpResponse, limit: int = 1_000_000) -> AttemptFailed:
        """Read an answer with another status to its end, and return the failure that it stands for."""
        try:
            raw = await reply.read_all(limit, lambda: None)
        except TRANSPORT_ERRORS as error:
            return failure_from_transport_error(error)
        finally:
            reply.close()
        return failure_from_status(reply.status, reply.headers(), raw, self.spec)

    def first_byte_deadline(self, left_s: float) -> Deadline:
        """Return the deadline for the first byte of an answer; `left_s` is the time left for the call."""
        return self._deadlines.within(min(self.spec.timeouts.first_byte_s, left_s))

    def next_chunk_deadline(self, left_s: float) -> Deadline:
        """Return the deadline for the next chunk of an answer; `left_s` is the time left for the call."""
        return self._deadlines.within(min(self.spec.timeouts.idle_s, left_s))

    def record_outcome(self, permit: int, ok: bool | None, now: float) -> None:
        """Record the outcome of an attempt with the breaker."""
        opened = self.breaker.times_opened
        self.breaker.record(permit, ok, now)
        if self.breaker.times_opened > opened:
            _log.warning(
                "teacher %s fails too often; its circuit is open for %g s", self.spec.name, self.spec.breaker.open_s
            )

    def circuit_open_failure(self, now: float) -> AttemptFailed:
        """Return the failure of a call that the open circuit breaker did not let through."""
        self.counts.passed_over += 1
        wait_s = max(1, math.ceil(self.breaker.wait_s(now)))
        message = f"teacher {self.spec.name!r} failed too often, so its circuit is open; try again in {wait_s} s"
        error = TeacherError(503, message, code="teacher_circuit_open", headers={"retry-after": str(wait_s)})
        return AttemptFailed(error, counts_against_breaker=False)

    def _url(self, target: str) -> URL:
        url = self._urls.get(target)
        if url is None:
            url = URL(self.spec.base_url + target.removeprefix("/v1"), encoded=True)
            # Paths are few, but callers choose the queries, so those are not cached.
            if "?" not in target:
                self._urls[target] = url
        return url

    def _headers(self, call: Call, api: Api, fresh: bool) -> dict[str, str]:
        headers = {**_FIXED_HEADERS, **teacher_headers(self.spec, api, call.forwarded_headers)}
        if fresh:
            headers["cache-control"] = "no-cache"
            headers.pop("idempotency-key", None)
        return headers
