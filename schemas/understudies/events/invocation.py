"""Topic `invocations`: one call of a teacher or a student."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from understudies.events.base import Event
from understudies.events.money import Usd, usd
from understudies.events.request import Request, Response, Usage

Origin = Literal["live", "audit", "synthetic", "imported"]
ServedBy = Literal["teacher", "student", "cache", "none"]
Reason = Literal[
    "no_student",  # nothing is promoted for the task
    "critical",  # the task is declared critical
    "drift",  # the student drifted and waits for its demotion
    "control",  # outside the canary share: teacher by draw, so its answer is unbiased evidence
    "low_confidence",  # the student was asked and was not sure enough
    "student_error",  # the student was asked and failed
    "withheld",  # its answer, input or group is kept from the student, as the evidence speaks against it
    "unproven",  # an input that many calls have, whose answers are not proven yet: teacher, however sure the student is
    "unconfirmed",  # near copies of it came before on that day, and the teacher has not confirmed the student's answer
    "over_budget",  # the budget is spent: refused, or a student answered what was the teacher's by draw or episode
    "unsuitable",  # asks for what no student can give, such as several choices
    "not_allowed",  # the rules of the task do not allow this student
    "circuit_open",  # the student failed so often lately that it is not asked
    "pinned",  # the episode began with the teacher, or with another student
    "episode_target",  # no threshold is proven good enough for what the episode promises
    "fallback",  # another model answered in place of the teacher, which failed
    "cached",  # an identical request was answered before
    "promoted",  # the student answered
    "audit",  # the teacher was asked again about a call that was served already
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
"""Reasons that depend on a student's confidence, or of calls that no student may ever serve."""


class Route(BaseModel):
    """Why a call went where it went."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    reason: Reason
    threshold: float | None = None
    share: float = Field(default=0.0, ge=0, le=1, description="canary share in force for the task")
    audit_probability: float = Field(
        default=0.0, ge=0, le=1, description="probability with which this call was drawn to be audited"
    )
    student_cost_usd: Usd = Field(default=usd(0), description="part of cost_usd paid to a student that was asked")
    drawn: bool | None = Field(
        default=None, description="whether this call was drawn to be audited; absent where nothing says so"
    )
    head: bool = Field(default=False, description="whether its input is of the head: those that many calls have")
    spot_check: bool = Field(
        default=False, description="whether it is audited beyond the draw, as the first of its answer on a day"
    )


class Invocation(Event):
    """One call was made and answered, or failed."""

    type: Literal["invocation"] = "invocation"
    episode: str | None = None
    tenant: str = "default"
    origin: Origin = "live"
    audits: str | None = Field(default=None, description="id of the invocation that this one audits")
    served_by: ServedBy = "teacher"
    model: str = Field(default="", description="model that answered, as it names itself")
    student: str | None = Field(default=None, description="student that was asked, such as `triage@3`")
    request: Request
    response: Response | None = None
    error: str | None = None
    usage: Usage = Usage()
    cost_usd: Usd = Field(default=usd(0), ge=0, description="all that this call cost, a student asked in vain included")
    free: bool = Field(default=False, description="the teacher is known to cost nothing: a cost of 0 is no unknown one")
    latency_ms: float = Field(default=0.0, ge=0)
    usage_estimated: bool = Field(default=False, description="usage and cost are estimates, the model reported none")
    api: str = Field(default="chat", description="how the caller spoke: chat, responses or messages")
    streamed: bool = False
    hung_up: bool = Field(default=False, description="the caller hung up before the end; the response is what had come")
    confidence: float | None = Field(default=None, description="of the student that was asked")
    route: Route | None = None
    fingerprint: str = Field(description="SHA-256 of the canonical request")
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_answered_or_failed(self) -> "Invocation":
        if self.response is None and self.error is None:
            raise ValueError("an invocation carries a response or an error")
        return self

    @property
    def answered_by_teacher(self) -> bool:
        """Whether the teacher's own whole answer is there.

        Of a caller that hung up, only its beginning is; a fallback's is another model's.
        """
        whole = self.response is not None and not self.hung_up
        own = self.route is None or self.route.reason != "fallback"
        return self.served_by == "teacher" and whole and own and self.origin != "synthetic"

    @property
    def priced(self) -> bool:
        """Whether `cost_usd` is what the call cost: an agent that names no price records its teacher's answers with 0.

        What the router recorded is priced, at 0 too.
        """
        answered = self.served_by == "teacher" and self.response is not None
        return bool(self.cost_usd) or self.free or self.route is not None or not answered

    @property
    def unbiased(self) -> bool:
        """Whether a student might serve such a call, and the teacher was chosen without regard to its confidence."""
        return self.route is None or self.route.reason not in BIASED
