"""Select the cheapest student that is good enough, else the best one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from understudies.datasets.errors import ArtifactError
from understudies.events import usd
from understudies.runtime.errors import SERVICE_ERRORS
from understudies.students.base import StudentError
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, StudentTrainer, TrainedStudent, TrainingData
from understudies.trainer.validation import Validation

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StudentCandidate:
    """Outcome of training one kind of student."""

    kind: str
    outcome: TrainedStudent | NotApplicable
    validation: Validation

    @property
    def metrics(self) -> dict[str, JsonValue]:
        """The metrics for the manifest and the evidence."""
        more = self.outcome.metrics if isinstance(self.outcome, TrainedStudent) else {}
        return {**self.validation.summary(), **more}

    @property
    def summary(self) -> JsonValue:
        """The summary for the evidence."""
        if isinstance(self.outcome, NotApplicable):
            return {"kind": self.kind, "declined": self.outcome.reason}
        return {
            "kind": self.kind,
            "expected_coverage": round(self.validation.expected_coverage, 6),
            "agreement": round(self.validation.agreement, 6),
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """Candidates tried, in order, and their cost."""

    candidates: tuple[StudentCandidate, ...]
    p0: float
    cost_usd: Decimal

    @property
    def trained(self) -> list[StudentCandidate]:
        return [candidate for candidate in self.candidates if isinstance(candidate.outcome, TrainedStudent)]

    def best(self, settings: TrainerSettings) -> StudentCandidate | None:
        """Return the student expected to serve most, the cheaper of equals; None if none can reach p0."""
        viable = [c for c in self.trained if not c.validation.is_hopeless(settings.alpha, settings.surest_calls)]
        ranked = sorted(viable, key=lambda c: (-c.validation.expected_coverage, -c.validation.agreement))
        return ranked[0] if ranked else None

    def rejection_reason(self, settings: TrainerSettings) -> str:
        """Return why no student is offered, with the numbers."""
        causes = "; ".join(self._cause(one, settings) for one in self.candidates) or "no kind of student is allowed"
        if not self.trained:
            return f"no kind of student suits the task: {causes}"
        n = max(len(candidate.validation.calls) for candidate in self.trained)
        return f"no student reaches {self.p0:.0%} agreement on any tenth of the {n} validation calls: {causes}"

    def _cause(self, candidate: StudentCandidate, settings: TrainerSettings) -> str:
        if isinstance(candidate.outcome, NotApplicable):
            return f"{candidate.kind}: {candidate.outcome.reason}"
        validation = candidate.validation
        agreed, n = validation.surest(0.1, settings.surest_calls)
        return f"{candidate.kind} agrees on {validation.agreement:.1%}, on {agreed} of its {n} most confident calls"


def select_student(
    trainers: Sequence[StudentTrainer], data: TrainingData, settings: TrainerSettings, p0: float
) -> Selection:
    """Train candidates in order of cost until one is expected to serve enough."""
    candidates: list[StudentCandidate] = []
    cost = usd(0)
    thousands = Decimal(len(data.dataset.in_split("train"))) / 1000
    for trainer in (trainer for trainer in trainers if trainer.kind in settings.kinds):
        outcome = _train(trainer, data, settings)
        validation = Validation(outcome.validation_calls if isinstance(outcome, TrainedStudent) else (), p0)
        candidates.append(StudentCandidate(trainer.kind, outcome, validation))
        if isinstance(outcome, TrainedStudent):
            cost += usd(settings.usd_per_1000_examples.get(trainer.kind, Decimal(0)) * thousands)
            if validation.expected_coverage >= settings.enough_coverage:
                break
    return Selection(tuple(candidates), p0, usd(cost))


def _train(trainer: StudentTrainer, data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Train a candidate; an error caused by one task's data must not stop the trainer for all others."""
    try:
        return trainer.train(data, settings)
    except SERVICE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything for some data
        _log.warning("%s could not be trained for %s", trainer.kind, data.dataset.task, exc_info=True)
        return NotApplicable(f"training failed: {error_text(error)}")


def error_text(error: Exception) -> str:
    """Describe an error; errors of libraries often say little without their type."""
    return str(error) if isinstance(error, ArtifactError | StudentError) else repr(error)
