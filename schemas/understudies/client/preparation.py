"""From a finished call to the message that tells of it."""

from dataclasses import dataclass, field

from understudies.client.answers import Answered, answered
from understudies.client.calls import Call
from understudies.client.chunks import assembled
from understudies.client.errors import NotRecorded
from understudies.client.pricing import Price
from understudies.client.redaction import Redactor, redacted
from understudies.client.requests import request_and_model
from understudies.client.sinks import Outgoing
from understudies.client.streams import ABANDONED
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


@dataclass(frozen=True, slots=True)
class Preparation:
    """Turns calls and events into messages; runs in the background."""

    tenant: str
    redact: Redactor | None
    price: Price | None
    ids: NewId
    max_bytes: int
    own_tasks: bool = False
    templates: Templates = field(default_factory=Templates)

    def __call__(self, item: Call | Event) -> Outgoing:
        """The message for a call or an event; raises where it cannot be read."""
        trace = item.traceparent if isinstance(item, Call) else None
        event = self.invocation(item) if isinstance(item, Call) else item
        if isinstance(event, Invocation) and self.redact is not None:
            self._affordable(event)
            event = redacted(event, self.redact)
        source = f"/understudies/sdk/{self.tenant}"
        return Outgoing(event, topic_of(event), self._affordable(event), cloud_headers(event, source, trace))

    def _affordable(self, event: Event) -> bytes:
        value = encode(event)
        if len(value) > self.max_bytes:
            raise NotRecorded("too_large", f"{len(value)} bytes, allowed are {self.max_bytes}")
        return value

    def _discovered(self, request: Request) -> str:
        task = self.templates.task_of(request)
        return own_task(self.tenant, task) if self.own_tasks else task

    def invocation(self, call: Call) -> Invocation:
        """The call as an event, before redaction."""
        request, asked = request_and_model(call.arguments)
        answer, error = _outcome(call)
        model = (answer.model if answer else "") or asked or call.shadow.model
        cost = self.price(model, answer.usage) if self.price and answer else None
        return Invocation(
            id=self.ids(call.at),
            at=call.at,
            task=call.shadow.task or self._discovered(request),
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
            tags=dict(call.shadow.tags),
            usage=answer.usage if answer else Usage(),
        )


def _outcome(call: Call) -> tuple[Answered | None, str | None]:
    """An answer or an error; half an answer must not teach, so a stream that was cut off has none."""
    if call.chunks is None:
        return (answered(call.answer), None) if call.error is None else (None, call.error)
    if call.error is None:
        return assembled(call.chunks).answered(), None
    assembly = assembled(call.chunks) if call.chunks else None
    if call.error == ABANDONED and assembly is not None and assembly.finish_reason is not None:
        return assembly.answered(), None
    return None, f"{call.error} after {len(call.chunks)} chunks"
