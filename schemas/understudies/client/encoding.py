"""Encode finished calls and events as messages for the sinks."""

from dataclasses import dataclass, field, replace
from typing import Final

from understudies.client.calls import TeacherCall
from understudies.client.decoding.requests import decode_request
from understudies.client.decoding.responses import decode_answer
from understudies.client.decoding.stream_accumulator import accumulate_chunks
from understudies.client.errors import NotRecorded, describe_error
from understudies.client.http_bodies import HttpBody
from understudies.client.pricing import Price
from understudies.client.sinks import OutgoingEvent
from understudies.client.stream_taps import ABANDONED
from understudies.dialects.answer_errors import AnswerError
from understudies.dialects.base import DecodedResponse
from understudies.events import (
    Event,
    Invocation,
    NewId,
    Request,
    Templates,
    Usage,
    cloud_headers,
    encode,
    fingerprint,
    own_task,
    topic_of,
    usd,
)
from understudies.redaction.redactor import Redactor, redacted

_CUT: Final = "the teacher's stream ended before its answer did"


@dataclass(frozen=True, slots=True)
class InvocationEncoder:
    """Encodes calls and events as messages, on the background thread."""

    tenant: str
    redact: Redactor | None
    price: Price | None
    new_id: NewId
    max_bytes: int
    own_tasks: bool = False
    templates: Templates = field(default_factory=Templates)

    def __call__(self, item: TeacherCall | Event) -> OutgoingEvent:
        """Encode a call or an event; raises if it cannot be decoded."""
        trace = item.traceparent if isinstance(item, TeacherCall) else None
        event = self.build_invocation(item) if isinstance(item, TeacherCall) else item
        if isinstance(event, Invocation) and self.redact is not None:
            self._encode_within_limit(event)
            event = redacted(event, self.redact)
        source = f"/understudies/sdk/{self.tenant}"
        return OutgoingEvent(
            event, topic_of(event), self._encode_within_limit(event), cloud_headers(event, source, trace)
        )

    def _encode_within_limit(self, event: Event) -> bytes:
        value = encode(event)
        if len(value) > self.max_bytes:
            raise NotRecorded("too_large", f"{len(value)} bytes, allowed are {self.max_bytes}")
        return value

    def _discover_task(self, request: Request) -> str:
        task = self.templates.task_of(request)
        return own_task(self.tenant, task) if self.own_tasks else task

    def build_invocation(self, call: TeacherCall) -> Invocation:
        """Build the event of a call, before redaction."""
        request, asked = decode_request(call.arguments)
        answer, error = _decode_outcome(call)
        told = answer or _read_used(call)
        model = (told.model if told else "") or asked or call.teacher.model
        cost = self.price(model, told.usage) if self.price and told else None
        return Invocation(
            id=self.new_id(call.at),
            at=call.at,
            task=call.teacher.task or self._discover_task(request),
            episode=call.episode,
            tenant=self.tenant,
            served_by="teacher",
            model=model,
            request=request,
            response=answer.response if answer else None,
            error=error,
            cost_usd=cost or usd(0),
            free=cost == 0,
            latency_ms=call.latency_ms,
            fingerprint=fingerprint(request),
            tags=dict(call.teacher.tags),
            usage=told.usage if told else Usage(),
        )


def _read_used(call: TeacherCall) -> DecodedResponse | None:
    """Return what came of an answer that broke off, or that a client refused, for its cost: it teaches nothing."""
    try:
        is_body = isinstance(call.answer, HttpBody) and call.answer.is_stream
        if chunks := call.answer.parse_events()[0] if is_body else call.chunks:
            return accumulate_chunks(chunks).to_answer()
        return None if call.answer is None else decode_answer(call.answer, from_provider=True)
    except Exception:  # noqa: BLE001 - the failure is recorded without it
        return None


def _decode_outcome(call: TeacherCall, *, from_provider: bool = False) -> tuple[DecodedResponse | None, str | None]:
    """Return the answer or the error; a truncated stream has no answer, as students must not learn from half of one."""
    if isinstance(call.answer, HttpBody):
        return _decode_body(call, call.answer)
    if call.chunks is None:
        if call.error is not None:
            return None, call.error
        try:
            return decode_answer(call.answer, from_provider=from_provider), None
        except AnswerError as error:
            return None, f"teacher failed: {error}"
    accumulator = accumulate_chunks(call.chunks) if call.chunks or call.error is None else None
    failed = None if accumulator is None else accumulator.failed
    if accumulator is not None and failed is None:
        whole = accumulator.has_ended if call.error == ABANDONED else call.error is None and not accumulator.was_cut
        if whole:
            return accumulator.to_answer(), None
    return None, f"{call.error or failed or _CUT} after {len(call.chunks)} chunks"


def _decode_body(call: TeacherCall, body: HttpBody) -> tuple[DecodedResponse | None, str | None]:
    told = body.error
    error = describe_error(told) if isinstance(told, BaseException) else told
    if body.is_stream:
        chunks, damage = body.parse_events()
        return _decode_outcome(replace(call, answer=None, chunks=chunks, error=damage or error))
    return _decode_outcome(replace(call, answer=None if error else body.parse(), error=error), from_provider=True)
