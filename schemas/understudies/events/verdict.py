"""Topic `verdicts`: results of the evaluator, for single calls and in total."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from understudies.events.base import Event
from understudies.events.money import Usd, usd
from understudies.events.serving_scope import (
    HEAD_THRESHOLD_DESCRIPTION,
    LEVELS_DESCRIPTION,
    NOTHING_WITHHELD,
    WITHHELD_DESCRIPTION,
    ProvenLevels,
    Withheld,
)

Phase = Literal["validation", "shadow", "audit", "self_agreement", "succession"]
"""`succession`: compared with the successor of a teacher that is to be retired."""


class Verdict(Event):
    """A student's answer was compared with the teacher's."""

    type: Literal["verdict"] = "verdict"
    invocation: str = Field(description="id of the invocation whose answer was judged")
    student: str = Field(description="student, or `teacher` for self-agreement")
    phase: Phase
    agreed: bool
    score: float = Field(ge=0, le=1)
    judge: str
    why: str | None = None
    confidence: float | None = None
    weight: float = Field(default=1.0, gt=0)
    fingerprint: str
    answer_class: str | None = Field(default=None, description="teacher's answer if the set of answers is closed")
    student_answer: str | None = Field(
        default=None,
        description="student's answer, as people read it, cut if it is long: where it disagreed, or the judge may err",
    )
    student_class: str | None = Field(
        default=None, description="student's answer where it disagreed, if the set of answers is closed"
    )
    spot_check: bool = Field(
        default=False,
        description="an audit in addition to the random draw: it is evidence only for its class of answers",
    )
    judge_cost_usd: Usd = Field(default=usd(0), description="cost of asking a model to judge, in US dollars")
    counts: bool = Field(
        default=True, description="whether it is evidence: unbiased, unseen in training, first of its input"
    )


class GateDecision(Event):
    """The gates of a student reached a decision."""

    type: Literal["gate_decision"] = "gate_decision"
    student: str
    decision: Literal["promote", "reject", "inconclusive"]
    threshold: float | None = Field(default=None, description="confidence from which the student may serve")
    coverage: float | None = Field(default=None, description="share of calls expected to reach the threshold")
    head_threshold: float | None = Field(default=None, description=HEAD_THRESHOLD_DESCRIPTION)
    levels: ProvenLevels = Field(default=(), description=LEVELS_DESCRIPTION)
    withheld: Withheld = Field(default=NOTHING_WITHHELD, description=WITHHELD_DESCRIPTION)
    judge: str | None = Field(default=None, description="judge that compared the answers")
    reason: str = ""
    evidence: dict[str, JsonValue] = Field(default_factory=dict)


VerdictEvent = Annotated[Verdict | GateDecision, Field(discriminator="type")]
