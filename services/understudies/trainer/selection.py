"""Select the cheapest student that is good enough, else the best one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Final

from pydantic import JsonValue

from understudies.datasets.errors import ArtifactError
from understudies.economics.roi import saving_per_call
from understudies.events import usd, usd_text
from understudies.runtime.errors import SERVICE_ERRORS
from understudies.students.base import StudentError
from understudies.trainer.costs import counting_lost
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import (
    NotApplicable,
    StudentTrainer,
    TrainedStudent,
    TrainingData,
    allowed_trainers,
)
from understudies.trainer.validation import Validation

_log = logging.getLogger(__name__)
_NOTHING_TO_GAIN: Final = 0.98
"""Expected share of calls served from which no other variant of a kind is tried."""


@dataclass(frozen=True, slots=True)
class StudentCandidate:
    """Outcome of training one kind of student."""

    kind: str
    outcome: TrainedStudent | NotApplicable
    validation: Validation
    variant: str = ""

    @property
    def name(self) -> str:
        """The kind, with its variant."""
        return f"{self.kind} {self.variant}".rstrip()

    @property
    def answer_cost(self) -> Decimal:
        """The cost of an answer in US dollars: measured in validation, else declared."""
        measured = self.validation.cost_per_call
        if measured is not None or isinstance(self.outcome, NotApplicable):
            return measured or Decimal(0)
        return self.outcome.answer_cost_usd

    @property
    def expected_coverage(self) -> float:
        """The share of the calls that it could serve, by validation and by training examples held out in turn.

        Those of validation are few, and variants differ by some percent.
        """
        more = self.outcome.training_calls if isinstance(self.outcome, TrainedStudent) else ()
        return Validation((*self.validation.calls, *more), self.validation.p0).expected_coverage

    def saving(self, teacher_cost: Decimal | None) -> Decimal:
        """Return the saving per call in US dollars to expect; without a price, the share served."""
        share = self.expected_coverage
        return Decimal(str(share)) if teacher_cost is None else saving_per_call(teacher_cost, self.answer_cost, share)

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
            **({"variant": self.variant} if self.variant else {}),
            "expected_coverage": round(self.validation.expected_coverage, 6),
            "agreement": round(self.validation.agreement, 6),
            "answer_cost_usd": usd_text(self.answer_cost),
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """Candidates tried, in order, and their cost."""

    candidates: tuple[StudentCandidate, ...]
    p0: float
    cost_usd: Decimal
    teacher_cost_usd: Decimal | None = None

    @property
    def trained(self) -> list[StudentCandidate]:
        return [candidate for candidate in self.candidates if isinstance(candidate.outcome, TrainedStudent)]

    def best(self, settings: TrainerSettings) -> StudentCandidate | None:
        """Return the student expected to save most, the first tried of equals; None if none can reach p0."""
        viable = [c for c in self.trained if not c.validation.is_hopeless(settings.alpha, settings.surest_calls)]
        return max(viable, key=lambda c: (c.saving(self.teacher_cost_usd), c.validation.agreement), default=None)

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
        return f"{candidate.name} agrees on {validation.agreement:.1%}, on {agreed} of its {n} most confident calls"


def select_student(
    trainers: Sequence[StudentTrainer], data: TrainingData, settings: TrainerSettings, p0: float
) -> Selection:
    """Train candidates in order of cost until one is expected to serve enough.

    One that is charged per answer does not keep those from being tried that are free. Where the training is put off,
    the cost of the candidates so far is added to what no outcome reports.
    """
    candidates: list[StudentCandidate] = []
    cost = usd(0)
    thousands = Decimal(len(data.dataset.in_split("train"))) / 1000
    has_enough = has_enough_free = False
    for (kind, is_free), variants in groupby(
        allowed_trainers(trainers, settings), key=lambda trainer: (trainer.kind, trainer.is_free)
    ):
        if has_enough_free or (has_enough and not is_free):
            continue
        of_kind: list[StudentCandidate] = []
        for trainer in variants:
            with counting_lost(data.unreported, partial(usd, cost)):
                outcome = _train(trainer, data, settings)
            validation = Validation(outcome.validation_calls if isinstance(outcome, TrainedStudent) else (), p0)
            of_kind.append(StudentCandidate(kind, outcome, validation, trainer.variant))
            cost += usd(outcome.charged_usd)
            # What does not suit the task is not tried in another variant.
            if isinstance(outcome, NotApplicable):
                break
            cost += usd(settings.usd_per_1000_examples.get(kind, Decimal(0)) * thousands)
            if of_kind[-1].expected_coverage >= _NOTHING_TO_GAIN:
                break
        candidates += of_kind
        if any(candidate.validation.expected_coverage >= settings.enough_coverage for candidate in of_kind):
            has_enough, has_enough_free = True, has_enough_free or is_free
    return Selection(tuple(candidates), p0, usd(cost), data.teacher_cost_usd)


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
