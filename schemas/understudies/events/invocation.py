"""Topic `invocations`: calls answered by a teacher, a student or the cache, or failed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from understudies.events.base import Event
from understudies.events.money import Usd, usd
from understudies.events.request import Request, Response, Usage

Origin = Literal["live", "audit", "synthetic", "imported", "succession"]
"""`succession`: a retiring teacher's successor was asked about a call: its answer is evidence, and trains nothing."""
ServedBy = Literal["teacher", "student", "cache", "none"]
Reason = Literal[
    "no_student",  # no student is promoted for the task
    "critical",  # the task is declared critical
    "drift",  # the student drifted and will be demoted
    "control",  # outside the canary share: teacher by draw, so its answer is unbiased evidence
    "low_confidence",  # the student was asked and its confidence was too low
    "student_error",  # the student was asked and failed
    "withheld",  # its answer, input or group stays with the teacher, because of the evidence against it
    "unproven",  # an input of many calls, whose answers are not proven yet: teacher, whatever the confidence
    "unconfirmed",  # near copies came earlier that day, and the teacher has not confirmed the student's answer
    "over_budget",  # the budget is spent: refused, or answered by a student instead of the teacher by draw or episode
    "unsuitable",  # no student can serve it, for example several choices
    "not_allowed",  # the rules of the task do not allow this student
    "circuit_open",  # the student failed too often lately to be asked
    "pinned",  # the episode started with the teacher, or with another student
    "episode_target",  # no threshold is proven for the target of the episode
    "fallback",  # another model answered in place of the teacher, which failed
    "cached",  # an identical request was answered before
    "promoted",  # the student answered
    "audit",  # the teacher was asked again about a call that was already served
]

BIASED: tuple[Reason, ...] = (
    "low_confidence",
    "student_error",
    "withheld",
    "unconfirmed",
    "audit",
    "critical",
    "over_budget",
    "unsuitable",
    "not_allowed",
    "circuit_open",
    "pinned",
    "episode_target",
    "fallback",
    "cached",
)
"""Reasons that depend on a student's confidence, and those of calls that no student may ever serve."""


class Route(BaseModel):
    """The reason for the route of a call, with the settings that applied."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    reason: Reason
    threshold: float | None = None
    share: float = Field(default=0.0, ge=0, le=1, description="canary share in force for the task")
    audit_probability: float = Field(
        default=0.0, ge=0, le=1, description="probability with which this call was drawn to be audited"
    )
    student_cost_usd: Usd = Field(default=usd(0), description="part of cost_usd paid to a student that was asked")
    drawn: bool | None = Field(default=None, description="whether this call was drawn to be audited; absent if unknown")
    head: bool = Field(default=False, description="whether its input is of the head: inputs that many calls have")
    spot_check: bool = Field(
        default=False, description="whether it is audited in addition to the draw, as the first of its answer on a day"
    )


class Invocation(Event):
    """A call was made and answered, or failed."""

    type: Literal["invocation"] = "invocation"
    episode: str | None = None
    tenant: str = "default"
    origin: Origin = "live"
    audits: str | None = Field(
        default=None, description="id of the invocation that this one audits, or asks a successor about"
    )
    served_by: ServedBy = "teacher"
    model: str = Field(default="", description="model that answered, as it names itself")
    student: str | None = Field(default=None, description="student that was asked, such as `triage@3`")
    request: Request
    response: Response | None = None
    error: str | None = None
    usage: Usage = Usage()
    cost_usd: Usd = Field(
        default=usd(0), ge=0, description="total cost of this call, including a student asked without success"
    )
    free: bool = Field(default=False, description="the teacher is known to be free: a cost of 0 is not an unknown one")
    latency_ms: float = Field(default=0.0, ge=0)
    usage_estimated: bool = Field(
        default=False, description="usage and cost are estimates, because the model reported none"
    )
    api: str = Field(
        default="chat", description="API that the caller used: chat, responses, messages, decisions or systemone"
    )
    streamed: bool = False
    hung_up: bool = Field(
        default=False, description="the caller disconnected before the end; the response is what had arrived"
    )
    confidence: float | None = Field(default=None, description="confidence of the student that was asked")
    route: Route | None = None
    fingerprint: str = Field(description="SHA-256 of the canonical request")
    training_only: bool = Field(
        default=False, description="imported from a log that is too old to be evidence: it counts for training alone"
    )
    tags: dict[str, str] = Field(default_factory=dict)

    _traceparent: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _check_answered_or_failed(self) -> "Invocation":
        if self.response is None and self.error is None:
            raise ValueError("an invocation carries a response or an error")
        return self

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the call; it travels in the headers of the event's message, not in the event."""
        # Asked of every event: pydantic's own way to a private attribute takes ten times as long.
        return (self.__pydantic_private__ or {}).get("_traceparent")

    def with_traceparent(self, traceparent: str | None) -> "Invocation":
        """Return this event, with the trace context of its call."""
        if traceparent != self.traceparent:
            self._traceparent = traceparent
        return self

    @property
    def answered_by_teacher(self) -> bool:
        """Return whether the event holds the teacher's own complete answer.

        After a disconnect of the caller it holds only the beginning; a fallback's answer is another model's. A message
        without text and tool calls, such as one of thoughts alone, is no answer.
        """
        complete = self.response is not None and self.response.says_something and not self.hung_up
        own = self.route is None or self.route.reason != "fallback"
        return self.served_by == "teacher" and complete and own and self.origin not in ("synthetic", "succession")

    @property
    def priced(self) -> bool:
        """Return whether `cost_usd` is the cost of the call.

        Agents that report no price record their teacher's answers with 0. Calls recorded by the router are priced,
        at 0 too.
        """
        answered = self.served_by == "teacher" and self.response is not None
        return bool(self.cost_usd) or self.free or self.route is not None or not answered

    @property
    def unbiased(self) -> bool:
        """Return whether a student could serve such calls and the teacher was chosen regardless of its confidence."""
        return self.route is None or self.route.reason not in BIASED
