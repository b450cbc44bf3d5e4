"""Select the cheapest student that is good enough, else the best there is."""

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
    """What became of one kind of student."""

    kind: str
    outcome: TrainedStudent | NotApplicable
    validation: Validation

    @property
    def metrics(self) -> dict[str, JsonValue]:
        """As the manifest and the evidence show it."""
        more = self.outcome.metrics if isinstance(self.outcome, TrainedStudent) else {}
        return {**self.validation.summary(), **more}

    @property
    def summary(self) -> JsonValue:
        """As the evidence shows it."""
        if isinstance(self.outcome, NotApplicable):
            return {"kind": self.kind, "declined": self.outcome.reason}
        return {
            "kind": self.kind,
            "expected_coverage": round(self.validation.expected_coverage, 6),
            "agreement": round(self.validation.agreement, 6),
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """All candidates that were tried, in order, and what they cost."""

    candidates: tuple[StudentCandidate, ...]
    p0: float
    cost_usd: Decimal

    @property
    def trained(self) -> list[StudentCandidate]:
        return [rung for rung in self.candidates if isinstance(rung.outcome, TrainedStudent)]

    def best(self, settings: TrainerSettings) -> StudentCandidate | None:
        """The student expected to serve most, the cheaper of equals; none where none can reach p0."""
        hopeful = [r for r in self.trained if not r.validation.is_hopeless(settings.alpha, settings.surest_calls)]
        ranked = sorted(hopeful, key=lambda r: (-r.validation.expected_coverage, -r.validation.agreement))
        return ranked[0] if ranked else None

    def rejection_reason(self, settings: TrainerSettings) -> str:
        """Why no student is offered, with the numbers."""
        causes = "; ".join(self._cause(rung, settings) for rung in self.candidates) or "no kind of student is allowed"
        if not self.trained:
            return f"no kind of student suits the task: {causes}"
        n = max(len(rung.validation.calls) for rung in self.trained)
        return f"no student reaches {self.p0:.0%} agreement on any tenth of the {n} validation calls: {causes}"

    def _cause(self, rung: StudentCandidate, settings: TrainerSettings) -> str:
        if isinstance(rung.outcome, NotApplicable):
            return f"{rung.kind}: {rung.outcome.reason}"
        agreed, n = rung.validation.surest(0.1, settings.surest_calls)
        return f"{rung.kind} agrees on {rung.validation.agreement:.1%}, on {agreed} of the {n} it is surest of"


def select_student(
    trainers: Sequence[StudentTrainer], data: TrainingData, settings: TrainerSettings, p0: float
) -> Selection:
    """Train candidate after candidate until one is expected to serve enough."""
    rungs: list[StudentCandidate] = []
    cost = usd(0)
    thousands = Decimal(len(data.dataset.in_split("train"))) / 1000
    for factory in (factory for factory in trainers if factory.kind in settings.kinds):
        outcome = _train(factory, data, settings)
        validation = Validation(outcome.validation_calls if isinstance(outcome, TrainedStudent) else (), p0)
        rungs.append(StudentCandidate(factory.kind, outcome, validation))
        if isinstance(outcome, TrainedStudent):
            cost += usd(settings.usd_per_1000_examples.get(factory.kind, Decimal(0)) * thousands)
            if validation.expected_coverage >= settings.enough_coverage:
                break
    return Selection(tuple(rungs), p0, usd(cost))


def _train(trainer: StudentTrainer, data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """The candidate's outcome; what one task's data break must not stop the trainer for all others."""
    try:
        return trainer.train(data, settings)
    except SERVICE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - what a library raises for some data is anyone's guess
        _log.warning("%s could not be trained for %s", trainer.kind, data.dataset.task, exc_info=True)
        return NotApplicable(f"training failed: {error_text(error)}")


def error_text(error: Exception) -> str:
    """Why something failed; errors from elsewhere often say little without their type."""
    return str(error) if isinstance(error, ArtifactError | StudentError) else repr(error)
