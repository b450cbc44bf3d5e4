"""The routing table: the promoted student of each task, folded from promotions and drift."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from understudies.events import (
    NOT_STEERED,
    NOTHING_WITHHELD,
    Drift,
    Event,
    Promotion,
    ProvenLevels,
    Stage,
    TaskSteering,
    Utc,
    Withheld,
)
from understudies.persistence.saved_state import ROOT, SavedState
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
    """The latest stage and the latest alarms of one student; of version 0, what people decided about its task."""

    model_config = ConfigDict(frozen=True)

    stage: Stage | None = None
    at: Utc | None = None
    event: str = Field(default="", description="id of the promotion that set the stage")
    artifact: str | None = None
    threshold: float | None = None
    share: float = 0.0
    audit_rate: float = 0.0
    usual_audit_rate: float | None = Field(
        default=None, description="the audit rate without the evidence that a proof needs, where it is raised for one"
    )
    levels: ProvenLevels = ()
    head_threshold: float | None = None
    withheld: Withheld = NOTHING_WITHHELD
    judge: str | None = None
    spot_checks: bool = False
    drifted_at: Utc | None = None
    warned_at: Utc | None = None
    steering: TaskSteering | None = None

    @property
    def stage_order(self) -> tuple[datetime, int, str]:
        """The sort key of the stage; of two stages at the same moment the later in `_STAGE_ORDER` counts."""
        if self.stage is None or self.at is None:
            raise ValueError("the student has no stage yet")
        return self.at, _STAGE_ORDER.index(self.stage), self.event

    @property
    def is_serving(self) -> bool:
        return self.stage == "promoted" and self.artifact is not None and self.threshold is not None

    @property
    def has_drifted(self) -> bool:
        """Return whether an alarm was raised since the promotion; at the same moment the alarm counts."""
        return self.drifted_at is not None and (self.at is None or self.drifted_at >= self.at)

    def after_promotion(self, event: Promotion) -> "StudentStatus":
        """Return the status after a promotion; unchanged if the promotion is older than the current stage."""
        if event.steering is not None:
            return self.model_copy(update={"steering": (self.steering or NOT_STEERED).apply(event)})
        new = self.model_copy(
            update={
                "stage": event.stage,
                "at": event.at,
                "event": event.id,
                "artifact": event.artifact,
                "threshold": event.threshold,
                "share": event.share,
                "audit_rate": event.audit_rate,
                "usual_audit_rate": _usual_audit_rate(event),
                "levels": event.levels,
                "head_threshold": event.head_threshold,
                "withheld": event.withheld,
                "judge": event.judge,
                "spot_checks": event.spot_checks,
            }
        )
        return new if self.stage is None or self.stage_order < new.stage_order else self

    def after_drift(self, event: Drift) -> "StudentStatus":
        """Return the status after an alarm; a warning counts even if it only reports a shift of traffic."""
        if event.tier == "warn":
            return self.model_copy(update={"warned_at": _latest(self.warned_at, event.at)})
        if event.drifted:
            return self.model_copy(update={"drifted_at": _latest(self.drifted_at, event.at)})
        return self


def _write_status(status: StudentStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", exclude_none=True)


SavedStatus = Annotated[StudentStatus, PlainSerializer(_write_status)]


@dataclass(frozen=True, slots=True)
class RoutingTable(SavedState):
    """The status of every student, by task and name; applying events in any order, repeatedly, gives the same table."""

    students: Annotated[Mapping[str, Mapping[str, SavedStatus]], ROOT] = field(default_factory=dict)

    def apply(self, event: Event) -> "RoutingTable":
        """Return the table after an event; events other than promotions and drift change nothing."""
        if not isinstance(event, Promotion | Drift):
            return self
        steered = isinstance(event, Promotion) and event.steering is not None
        name = f"{event.task}@0" if steered else event.student
        old = self._student(event.task, name)
        new = old.after_promotion(event) if isinstance(event, Promotion) else old.after_drift(event)
        if new == old:
            return self
        of_task = {**self.students.get(event.task, {}), name: new}
        return RoutingTable({**self.students, event.task: of_task})

    def route(self, task: str, now: datetime) -> TaskRoute | None:
        """Return the route of a task at a moment; None if no student is promoted, or people keep it from serving."""
        serving = [(s.stage_order, name, s) for name, s in self._allowed(task).items() if s.is_serving]
        if not serving:
            return None
        _, student, status = max(serving, key=lambda entry: entry[:2])
        assert status.artifact is not None
        assert status.threshold is not None
        return TaskRoute(
            student,
            status.artifact,
            status.threshold,
            status.share,
            status.has_drifted,
            _audit_probability(status, now),
            status.levels,
            status.head_threshold,
            status.withheld,
            status.judge,
            status.spot_checks,
        )

    @property
    def artifact_by_student(self) -> dict[str, str]:
        """The artifacts of the promoted students, by name."""
        of_all = (entry for of_task in self.students.values() for entry in of_task.items())
        return {name: s.artifact for name, s in of_all if s.is_serving and s.artifact is not None}

    @property
    def artifacts(self) -> frozenset[str]:
        """The artifacts of the promoted students."""
        return frozenset(self.artifact_by_student.values())

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks that a promoted student may serve, sorted."""
        return sorted(task for task in self.students if any(s.is_serving for s in self._allowed(task).values()))

    def has_task(self, task: str) -> bool:
        """Return whether the task has or had a student."""
        return task in self.students

    def _allowed(self, task: str) -> Mapping[str, StudentStatus]:
        """Return the students of a task that people do not keep from serving."""
        students = self.students.get(task, {})
        carrier = students.get(f"{task}@0")
        if carrier is None or carrier.steering is None:
            return students
        steering = carrier.steering
        if steering.is_halted:
            return {}
        return {name: status for name, status in students.items() if steering.ended(name) is None}

    def _student(self, task: str, student: str) -> StudentStatus:
        return self.students.get(task, {}).get(student) or StudentStatus()


def _usual_audit_rate(promotion: Promotion) -> float | None:
    rate: Any = promotion.evidence.get("usual_audit_rate")
    return float(rate) if isinstance(rate, int | float) and 0.0 <= rate <= 1.0 else None


def _audit_probability(status: StudentStatus, now: datetime) -> float:
    """Return the probability of an audit now; a warning multiplies the usual rate, not one raised for a proof."""
    if status.warned_at is None or now >= status.warned_at + WARNING_SPAN:
        return status.audit_rate
    usual = status.audit_rate if status.usual_audit_rate is None else status.usual_audit_rate
    return min(1.0, max(status.audit_rate, usual * WARNING_AUDIT_FACTOR))


def _latest(current: datetime | None, new: datetime) -> datetime:
    return new if current is None else max(current, new)
