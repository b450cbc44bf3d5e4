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

Stage = Literal["authorised", "collected", "trained", "qualified", "rejected", "promoted", "demoted", "retired"]


class Promotion(Event):
    """A student reached a stage.

    The topic is compacted by task and student, so each event carries all that is needed to resume from it.
    """

    type: Literal["promotion"] = "promotion"
    student: str = Field(description="`task@version`; a version is never used again")
    stage: Stage
    reason: str = ""
    dataset: str | None = Field(default=None, description="URI of the dataset, from `collected` on")
    artifact: str | None = Field(default=None, description="URI of the artifact, from `trained` on")
    share: float = Field(default=0.0, ge=0, le=1, description="share of the eligible calls that it may serve")
    threshold: float | None = Field(default=None, description="confidence from which it serves")
    head_threshold: float | None = Field(default=None, description=HEAD_THRESHOLD_DESCRIPTION)
    levels: ProvenLevels = Field(default=(), description=LEVELS_DESCRIPTION)
    withheld: Withheld = Field(default=NOTHING_WITHHELD, description=WITHHELD_DESCRIPTION)
    audit_rate: float = Field(
        default=0.05, ge=0, le=1, description="share of the calls it serves to ask the teacher again"
    )
    judge: str | None = Field(default=None, description="by which its answers were compared with the teacher's")
    spot_checks: bool = Field(
        default=False, description="whether each of its answers is audited now and then beyond that"
    )
    evidence: dict[str, JsonValue] = Field(default_factory=dict)
