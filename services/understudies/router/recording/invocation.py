"""Build the events of one call."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from understudies.dialects.capabilities import student_can_answer
from understudies.events import Invocation, Origin, Request, Response, SeededIds, fingerprint
from understudies.redaction.redactor import Redactor, redact_request, redacted
from understudies.router.call import Call, TeacherAnswer, TeacherError
from understudies.router.routing.decision import RouteRecord

_LARGE: Final = 128 * 1024
"""Size of a body in bytes from which it is redacted in a thread."""

_log = logging.getLogger(__name__)


class PendingInvocation:
    """An event to be built later: cheap to create during the call, and built when the recorder has time."""

    __slots__ = ("_event", "builder", "fields", "route", "size")

    def __init__(
        self, builder: "InvocationBuilder", route: RouteRecord, fields: Mapping[str, Any], size: int = 0
    ) -> None:
        self.builder = builder
        self.route = route
        self.fields = fields
        """The fields that distinguish this event from other events of its call."""
        self.size = size
        """The approximate bytes that it keeps in memory."""
        self._event: Invocation | None = None

    def invocation(self) -> Invocation:
        """Build the redacted event; raises what the redactor raises."""
        if self._event is None:
            self._event = self.builder.build(self.route, self.fields)
        return self._event


class InvocationBuilder:
    """Build the events of a call, of its audit, or of asking a successor about it.

    `request` and `fingerprint` are redacted, as recorded and as given to students; reading them raises what the
    redactor raises. A call whose request cannot be redacted is not recorded, and only its teacher may see it.
    """

    __slots__ = ("_fingerprint", "_redact", "_request", "_student_can_answer", "call", "origin")

    def __init__(self, call: Call, redact: Redactor | None = None, *, origin: Origin = "live") -> None:
        self.call = call
        self.origin: Origin = origin
        self._redact = redact
        self._request: Request | None = None
        self._fingerprint: str | None = None
        self._student_can_answer: bool | None = None

    @property
    def student_can_answer(self) -> bool:
        """Return whether a student can answer the request, if its form can be checked."""
        if self._student_can_answer is None:
            self._student_can_answer = student_can_answer(self.call.request)
        return self._student_can_answer

    @property
    def request(self) -> Request:
        """The redacted request."""
        if self._request is None:
            call = self.call
            self._request = call.request if self._redact is None else redact_request(call.request, self._redact)
        return self._request

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the redacted request."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.request)
        return self._fingerprint

    @property
    def is_recordable(self) -> bool:
        """Return whether the request can be redacted."""
        try:
            return bool(self.request)
        except Exception as error:  # noqa: BLE001 - custom redactors may raise anything; the call goes on
            _log.error("call %s is not recorded, redaction failed: %s", self.call.id, type(error).__name__)
            return False

    async def check_recordable(self) -> bool:
        """Return `is_recordable`; check large requests in a thread, so that other calls are not delayed."""
        if self._request is not None or len(self.call.raw or b"") < _LARGE:
            return self.is_recordable
        return await asyncio.to_thread(lambda: self.is_recordable)

    def for_audit(self) -> "InvocationBuilder":
        """Return the builder for the audit of this call."""
        return self._for_repeat(self.call, "audit")

    def with_successor(self, model: str) -> "InvocationBuilder":
        """Return the builder of this call whose repeats ask another model of the same teacher."""
        return self._for_repeat(replace(self.call, successor=model), self.origin)

    def for_successor(self, model: str) -> "InvocationBuilder":
        """Return the builder for asking another model of the same teacher about this call."""
        return self._for_repeat(replace(self.call, successor=model), "succession")

    def _for_repeat(self, call: Call, origin: Origin) -> "InvocationBuilder":
        repeat = InvocationBuilder(call, self._redact, origin=origin)
        repeat._request, repeat._fingerprint = self._request, self._fingerprint
        return repeat

    def from_student(self, route: RouteRecord, response: Response, *, student: str, **fields: Any) -> PendingInvocation:
        """Return the event of a call answered by the student."""
        return self._pending(route, served_by="student", model=student, student=student, response=response, **fields)

    def from_cache(self, route: RouteRecord, response: Response, *, model: str, **fields: Any) -> PendingInvocation:
        """Return the event of a call answered from the cache."""
        return self._pending(route, served_by="cache", model=model, response=response, **fields)

    def from_teacher(self, route: RouteRecord, answer: TeacherAnswer, **fields: Any) -> PendingInvocation:
        """Return the event of a call answered by the teacher."""
        fields |= {
            "served_by": "teacher",
            "model": answer.model,
            "response": answer.response,
            "usage": answer.usage,
            "usage_estimated": answer.estimated,
            "hung_up": answer.client_disconnected,
        }
        return PendingInvocation(self, route, fields, len(self.call.raw or b"") + len(answer.raw or b""))

    def from_failure(self, route: RouteRecord, error: TeacherError, **fields: Any) -> PendingInvocation:
        """Return the event of a call that the teacher did not answer."""
        model = self.call.successor or self.call.model
        return self._pending(route, served_by="none", model=model, error=str(error), **fields)

    def _pending(self, route: RouteRecord, **fields: Any) -> PendingInvocation:
        return PendingInvocation(self, route, fields, len(self.call.raw or b""))

    def build(self, route: RouteRecord, fields: Mapping[str, Any]) -> Invocation:
        """Build the event; an audit's id is derived from the call's, so repeating it gives the same id."""
        call, is_live = self.call, self.origin == "live"
        event = Invocation(
            id=call.id if is_live else SeededIds(f"{self.origin}:{call.id}")(call.at),
            origin=self.origin,
            audits=None if is_live else call.id,
            at=call.at,
            task=call.task,
            episode=self._episode(),
            tenant=call.tenant,
            api=call.api,
            streamed=call.stream and is_live,
            request=self.request,
            fingerprint=self.fingerprint,
            route=route._asdict(),  # type: ignore[arg-type] # validated with the event
            tags=dict(call.tags),
            **fields,
        ).with_traceparent(call.traceparent)
        if self._redact is None:
            return event
        if event.served_by == "none":
            # No model answered, so the model name is the caller's own text.
            event = event.model_copy(update={"model": self._redact(event.model)})
        return redacted(event, self._redact, request=self.request)

    def _episode(self) -> str | None:
        """The episode name as the caller gave it; redaction replaces one that contains personal data."""
        return self.call.episode
