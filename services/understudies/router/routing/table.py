"""The routing table: who is promoted for each task, folded from promotions and drift."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from understudies.events import NOTHING_WITHHELD, Drift, Event, Promotion, ProvenLevels, Stage, Utc, Withheld
from understudies.router.routing.decision import TaskRoute

WARNING_SPAN = timedelta(days=1)
WARNING_AUDIT_FACTOR = 10.0

_STAGE_ORDER: tuple[Stage, ...] = (
    "authorised",
    "collected",
    "trained",
    "qualified",
    "rejected",
    "promoted",
    "demoted",
    "retired",
)


class StudentStatus(BaseModel):
    """What is known of one student: its latest stage and its latest alarms."""

    model_config = ConfigDict(frozen=True)

    stage: Stage | None = None
    at: Utc | None = None
    event: str = Field(default="", description="id of the promotion that set the stage")
    artifact: str | None = None
    threshold: float | None = None
    share: float = 0.0
    audit_rate: float = 0.0
    levels: ProvenLevels = ()
    head_threshold: float | None = None
    withheld: Withheld = NOTHING_WITHHELD
    judge: str | None = None
    spot_checks: bool = False
    drifted_at: Utc | None = None
    warned_at: Utc | None = None

    @property
    def stage_order(self) -> tuple[datetime, int, str]:
        """Where the stage lies in the student's story; at one moment the later stage counts."""
        if self.stage is None or self.at is None:
            raise ValueError("the student has no stage yet")
        return self.at, _STAGE_ORDER.index(self.stage), self.event

    @property
    def is_serving(self) -> bool:
        return self.stage == "promoted" and self.artifact is not None and self.threshold is not None

    @property
    def has_drifted(self) -> bool:
        """Whether an alarm came since the promotion; at the same moment the alarm counts."""
        return self.drifted_at is not None and (self.at is None or self.drifted_at >= self.at)

    def after_promotion(self, event: Promotion) -> "StudentStatus":
        """The standing after a promotion, unless that is older than what is known."""
        new = self.model_copy(
            update={
                "stage": event.stage,
                "at": event.at,
                "event": event.id,
                "artifact": event.artifact,
                "threshold": event.threshold,
                "share": event.share,
                "audit_rate": event.audit_rate,
                "levels": event.levels,
                "head_threshold": event.head_threshold,
                "withheld": event.withheld,
                "judge": event.judge,
                "spot_checks": event.spot_checks,
            }
        )
        return new if self.stage is None or self.stage_order < new.stage_order else self

    def after_drift(self, event: Drift) -> "StudentStatus":
        """The standing after an alarm; a warning counts even where it only reports a shift of traffic."""
        if event.tier == "warn":
            return self.model_copy(update={"warned_at": _latest(self.warned_at, event.at)})
        if event.drifted:
            return self.model_copy(update={"drifted_at": _latest(self.drifted_at, event.at)})
        return self


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Every student's standing by task and name; applying events in any order, any number of times, gives the same."""

    students: Mapping[str, Mapping[str, StudentStatus]] = field(default_factory=dict)

    def apply(self, event: Event) -> "RoutingTable":
        """The table after an event; events that are neither promotion nor drift change nothing."""
        if not isinstance(event, Promotion | Drift):
            return self
        old = self._student(event.task, event.student)
        new = old.after_promotion(event) if isinstance(event, Promotion) else old.after_drift(event)
        if new == old:
            return self
        of_task = {**self.students.get(event.task, {}), event.student: new}
        return RoutingTable({**self.students, event.task: of_task})

    def route(self, task: str, now: datetime) -> TaskRoute | None:
        """What is in force for a task at a moment; None where no student is promoted."""
        serving = [(s.stage_order, name, s) for name, s in self.students.get(task, {}).items() if s.is_serving]
        if not serving:
            return None
        _, student, standing = max(serving, key=lambda entry: entry[:2])
        assert standing.artifact is not None
        assert standing.threshold is not None
        return TaskRoute(
            student,
            standing.artifact,
            standing.threshold,
            standing.share,
            standing.has_drifted,
            _audit_probability(standing, now),
            standing.levels,
            standing.head_threshold,
            standing.withheld,
            standing.judge,
            standing.spot_checks,
        )

    @property
    def artifacts(self) -> frozenset[str]:
        """URIs of the artifacts of the promoted students."""
        of_all = (standing for of_task in self.students.values() for standing in of_task.values())
        return frozenset(s.artifact for s in of_all if s.is_serving and s.artifact is not None)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks with a promoted student."""
        return sorted(task for task, students in self.students.items() if any(s.is_serving for s in students.values()))

    def has_task(self, task: str) -> bool:
        """Whether the task has or had a student."""
        return task in self.students

    def state(self) -> dict[str, Any]:
        """The table in the types of JSON."""
        return {
            task: {name: s.model_dump(mode="json", exclude_none=True) for name, s in students.items()}
            for task, students in self.students.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Mapping[str, Any]]) -> Self:
        """The table that `state` described."""
        return cls(
            {
                task: {name: StudentStatus.model_validate(s) for name, s in students.items()}
                for task, students in state.items()
            }
        )

    def _student(self, task: str, student: str) -> StudentStatus:
        return self.students.get(task, {}).get(student) or StudentStatus()


def _audit_probability(standing: StudentStatus, now: datetime) -> float:
    warned = standing.warned_at is not None and now < standing.warned_at + WARNING_SPAN
    return min(1.0, standing.audit_rate * (WARNING_AUDIT_FACTOR if warned else 1.0))


def _latest(known: datetime | None, new: datetime) -> datetime:
    return new if known is None else max(known, new)
