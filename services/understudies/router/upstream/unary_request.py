"""Ask a teacher for a complete answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.json_fields import with_long_integers
from understudies.events import Usage
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.http1.deadlines import Deadline
from understudies.router.http1.response import HttpResponse
from understudies.router.upstream.failures import (
    TRANSPORT_ERRORS,
    AttemptFailed,
    AttemptProgress,
    failure_from_answer_error,
    failure_from_transport_error,
    malformed_answer,
    parse_json_object,
)
from understudies.router.upstream.headers import response_headers
from understudies.router.upstream.metering import CallSizes, UsageMeter, count_answer_characters
from understudies.router.upstream.request import UpstreamRequest
from understudies.router.upstream.upstream import Upstream


@dataclass(frozen=True, slots=True)
class ReadContext:
    """Dependencies for reading an answer: a usage meter, a monotonic clock, and the maximum size in bytes."""

    meter: UsageMeter
    timer: Callable[[], float]
    limit: int


class UnaryRequester:
    """Ask one teacher once for a complete answer."""

    def __init__(self, context: ReadContext) -> None:
        self._meter = context.meter
        self._timer = context.timer
        self._limit = context.limit

    async def ask(self, request: UpstreamRequest, upstream: Upstream, model: str) -> TeacherAnswer:
        """Return the answer; raises AttemptFailed."""
        body = request.unary_body(model)
        progress = AttemptProgress()
        try:
            with upstream.first_byte_deadline(request.deadline - self._timer()) as deadline:
                reply = await upstream.post(
                    request.call, request.api, request.target, body, progress, fresh=request.fresh
                )
                raw = await self.read_body(request, upstream, reply, deadline)
        except TRANSPORT_ERRORS as error:
            raise failure_from_transport_error(error, billable=progress.is_billable(error)) from error
        return self.decode(request, upstream, model, reply, raw, len(body))

    async def read_body(
        self, request: UpstreamRequest, upstream: Upstream, reply: HttpResponse, deadline: Deadline
    ) -> bytes:
        """Read the whole body; the time limit applies to each chunk."""
        idle_s = upstream.spec.timeouts.idle_s

        def extend_deadline() -> None:
            deadline.extend(min(idle_s, request.deadline - self._timer()))

        try:
            return await reply.read_all(self._limit, extend_deadline)
        finally:
            reply.close()

    def decode(
        self,
        request: UpstreamRequest,
        upstream: Upstream,
        model: str,
        reply: HttpResponse,
        raw: bytes,
        request_bytes: int,
    ) -> TeacherAnswer:
        """Decode the answer in a body; raises AttemptFailed, with the body if the caller is to get it."""
        headers = reply.headers()
        body = parse_json_object(raw)
        if body is None:
            raise malformed_answer(headers, "the teacher's answer is not JSON")
        call = request.call
        try:
            answered = request.dialect.decode_response(body)
            if answered.response.message.tool_calls:
                exact = with_long_integers(raw, body)
                answered = answered if exact is body else request.dialect.decode_response(exact)
        except ValueError as error:
            cost = self._meter.reported(
                _text(body.get("model")) or model, _usage(body), price=upstream.price, at=call.at
            )
            if isinstance(error, AnswerError):
                raise failure_from_answer_error(error, reply.status, headers, raw, cost) from error
            invalid = TeacherError(
                reply.status,
                "the body is not a valid answer",
                raw=raw,
                headers=response_headers(headers),
                cost_usd=cost,
            )
            raise AttemptFailed(invalid, failover=False, counts_against_breaker=False) from error
        answered_model = answered.model or model
        sizes = CallSizes(request_bytes, count_answer_characters(answered.response))
        metered = self._meter.complete(model, answered_model, answered.usage, sizes, price=upstream.price, at=call.at)
        return TeacherAnswer(
            answered.response,
            answered_model,
            metered.usage,
            metered.cost_usd,
            (self._timer() - request.started_at) * 1000,
            raw,
            response_headers(headers),
            reply.status,
            upstream.spec.name,
            metered.estimated,
            fallback=request.fallback,
            unproductive_attempts=request.unproductive_attempts,
            earlier_cost_usd=request.earlier_cost_usd,
        )


def _usage(body: dict[str, Any]) -> Usage:
    """Return the usage in a body that is not an answer, under the names of either API."""
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
