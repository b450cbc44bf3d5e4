"""Make the event of a person's decision, and fold all decisions about a task."""

from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from understudies.events.promotion import Promotion
from understudies.events.steering import Steering, SteeringAction


def steer(task: str, steering: Steering, why: str, *, at: datetime, event_id: str) -> Promotion:
    """Return the event of a person's decision.

    Readers that do not know decisions see the end of a student that never began, which changes nothing for them.
    """
    return Promotion(id=event_id, at=at, task=task, student=f"{task}@0", stage="retired", reason=why, steering=steering)


class TaskSteering(BaseModel):
    """What people decided about a task; applying their decisions in any order, repeatedly, gives the same."""

    model_config = ConfigDict(frozen=True)

    latest: dict[str, Promotion] = Field(default_factory=dict, description="the latest decision on each aspect")

    def apply(self, event: Promotion) -> Self:
        """Return the state after an event; one that is older than what is known, or no decision, changes nothing."""
        if event.steering is None:
            return self
        known = self.latest.get(event.steering.aspect)
        if known is not None and (known.at, known.id) >= (event.at, event.id):
            return self
        return type(self)(latest={**self.latest, event.steering.aspect: event})

    @property
    def paused(self) -> Promotion | None:
        """The decision by which the teacher serves all calls for now."""
        return self._in_force("serving", "pause")

    @property
    def critical(self) -> Promotion | None:
        """The decision that no student may serve the task."""
        return self._in_force("criticality", "mark_critical")

    @property
    def pin(self) -> Promotion | None:
        """The decision that a student is not to be succeeded."""
        return self._in_force("pin", "pin")

    @property
    def pinned(self) -> str | None:
        """The student that is not to be succeeded."""
        pin = self.pin
        return pin.steering.student if pin and pin.steering else None

    @property
    def retraining(self) -> Promotion | None:
        """The latest request for a new student, whether it was met or not."""
        return self.latest.get("retraining")

    @property
    def is_halted(self) -> bool:
        """Return whether the teacher is to serve every call."""
        return bool(self.latest) and (self.paused is not None or self.critical is not None)

    def ended(self, student: str) -> Promotion | None:
        """Return the decision that a student is to serve no more."""
        return self.latest.get(f"end {student}")

    def approved(self, student: str) -> Promotion | None:
        """Return the decision that a student may serve once it is qualified."""
        return self.latest.get(f"approval {student}")

    def _in_force(self, aspect: str, action: SteeringAction) -> Promotion | None:
        event = self.latest.get(aspect)
        return event if event is not None and event.steering and event.steering.action == action else None


NOT_STEERED: Final = TaskSteering()
