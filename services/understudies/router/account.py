"""The events of one call."""

from dataclasses import dataclass, replace
from typing import Any

from understudies.client.redaction import Redactor, redacted, redacted_request
from understudies.events import Invocation, Request, Response, Route, SeededIds, fingerprint
from understudies.router.call import Call, TeacherAnswer, TeacherError


@dataclass(frozen=True, slots=True)
class Account:
    """Writes down what happens to a call, or to the audit of it.

    `request` and `fingerprint` are as they are recorded, and as students know them. A call whose request cannot be
    redacted is not recordable, and nobody but its teacher may see it.
    """

    call: Call
    request: Request
    fingerprint: str
    redact: Redactor | None = None
    audit: bool = False
    recordable: bool = True

    @classmethod
    def of(cls, call: Call, redact: Redactor | None = None) -> "Account":
        """The account of a call; raises what the redactor raises."""
        request = call.request if redact is None else redacted_request(call.request, redact)
        return cls(call, request, fingerprint(request), redact)

    @classmethod
    def unrecordable(cls, call: Call) -> "Account":
        """The account of a call whose request cannot be redacted."""
        return cls(call, call.request, fingerprint(call.request), recordable=False)

    def of_audit(self) -> "Account":
        """The account of the audit of this call."""
        return replace(self, audit=True)

    def clean(self, invocation: Invocation) -> Invocation:
        """The event as it may be recorded; raises what the redactor raises."""
        return invocation if self.redact is None else redacted(invocation, self.redact, request=self.request)

    def served(self, route: Route, response: Response, *, student: str, **fields: Any) -> Invocation:
        """The student answered."""
        return self._event(route, served_by="student", model=student, student=student, response=response, **fields)

    def answered(self, route: Route, answer: TeacherAnswer, **fields: Any) -> Invocation:
        """The teacher answered."""
        return self._event(
            route, served_by="teacher", model=answer.model, response=answer.response, usage=answer.usage, **fields
        )

    def failed(self, route: Route, error: TeacherError, **fields: Any) -> Invocation:
        """The teacher did not answer."""
        return self._event(route, served_by="none", model=self.call.model, error=str(error), **fields)

    def _event(self, route: Route, **fields: Any) -> Invocation:
        """The call as an event; an audit's id follows from that of the call, so it stays the same if asked twice."""
        call = self.call
        return Invocation(
            id=SeededIds(f"audit:{call.id}")(call.at) if self.audit else call.id,
            origin="audit" if self.audit else "live",
            audits=call.id if self.audit else None,
            at=call.at,
            task=call.task,
            episode=call.episode,
            tenant=call.tenant,
            request=self.request,
            fingerprint=self.fingerprint,
            route=route,
            tags=dict(call.tags),
            **fields,
        )
