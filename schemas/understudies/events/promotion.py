"""Topic `promotions`: the ordered stages of every student."""

from typing import Literal

from pydantic import Field, JsonValue

from understudies.events.base import Event
from understudies.events.serving_scope import (
    HEAD_THRESHOLD_DESCRIPTION,
    LEVELS_DESCRIPTION,
    NOTHING_WITHHELD,
    WITHHELD_DESCRIPTION,
    ProvenLevels,
    Withheld,
)
from understudies.events.steering import Steering

Stage = Literal["authorised", "collected", "trained", "qualified", "rejected", "promoted", "demoted", "retired"]


class Promotion(Event):
    """A student reached a stage.

    The topic is compacted by task and student, so each event holds everything needed to resume from it.
    """

    type: Literal["promotion"] = "promotion"
    student: str = Field(description="`task@version`; versions are never reused")
    stage: Stage
    reason: str = ""
    dataset: str | None = Field(
        default=None, description="dataset, from `collected` on: its path below the artifact root"
    )
    artifact: str | None = Field(
        default=None, description="artifact, from `trained` on: its path below the artifact root"
    )
    share: float = Field(default=0.0, ge=0, le=1, description="share of the eligible calls that it may serve")
    threshold: float | None = Field(default=None, description="confidence from which it serves")
    head_threshold: float | None = Field(default=None, description=HEAD_THRESHOLD_DESCRIPTION)
    levels: ProvenLevels = Field(default=(), description=LEVELS_DESCRIPTION)
    withheld: Withheld = Field(default=NOTHING_WITHHELD, description=WITHHELD_DESCRIPTION)
    audit_rate: float = Field(
        default=0.05, ge=0, le=1, description="share of the calls it serves that the teacher is asked again"
    )
    judge: str | None = Field(default=None, description="judge that compared its answers with the teacher's")
    spot_checks: bool = Field(
        default=False, description="whether each of its answers is also audited occasionally beyond that"
    )
    evidence: dict[str, JsonValue] = Field(default_factory=dict)
    steering: Steering | None = Field(
        default=None,
        description="a person's decision about the task, and no stage of a student: `reason` says why, `at` when; "
        "`student` is then version 0, which no student has, and `stage` is `retired`",
    )

    @property
    def key(self) -> str:
        """The message's key: of those with the same key, compaction keeps the latest alone."""
        key = f"{self.task}/{self.student}"
        return f"{key}/{self.steering.action}/{self.steering.student or ''}" if self.steering else key
