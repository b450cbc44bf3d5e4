"""What a person decided about a task, and the fold of all such decisions."""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SteeringAction = Literal[
    "pause",
    "resume",
    "demote",
    "retire",
    "pin",
    "unpin",
    "approve",
    "retrain",
    "mark_critical",
    "unmark_critical",
]
"""What a person may decide; `pause`, `pin` and `mark_critical` hold until their opposite."""

STUDENT_ACTIONS: Final[frozenset[SteeringAction]] = frozenset({"demote", "retire", "pin", "approve"})
"""The actions that name a student."""

_ASPECTS: Final[Mapping[SteeringAction, str]] = {
    "pause": "serving",
    "resume": "serving",
    "demote": "end",
    "retire": "end",
    "pin": "pin",
    "unpin": "pin",
    "approve": "approval",
    "retrain": "retraining",
    "mark_critical": "criticality",
    "unmark_critical": "criticality",
}
_PER_STUDENT: Final = frozenset({"end", "approval"})


class Steering(BaseModel):
    """A person's decision; when and why stand on the promotion that carries it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: SteeringAction
    by: str = Field(min_length=1, max_length=200, description="who decided")
    student: str | None = Field(default=None, description="the student it is about, where it is about one")

    @property
    def aspect(self) -> str:
        """What is decided; of all decisions on the same aspect the latest holds."""
        aspect = _ASPECTS[self.action]
        return f"{aspect} {self.student}" if aspect in _PER_STUDENT else aspect
