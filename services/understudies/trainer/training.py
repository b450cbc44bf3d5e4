"""Turn a dataset into a trained and validated student."""

from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from understudies.events import usd, usd_text
from understudies.trainer.ablation import SyntheticAblation
from understudies.trainer.selection import Selection, StudentCandidate
from understudies.trainer.trainers import TrainingData


@dataclass(frozen=True, slots=True)
class FinishedTraining:
    """Finished training whose best student is not saved yet."""

    data: TrainingData
    selection: Selection
    seconds: float
    ablation: SyntheticAblation | None = None

    @property
    def cost_usd(self) -> Decimal:
        """What the training has cost in US dollars, with a model that judged and tries that were put off."""
        return usd(self.selection.cost_usd + self.data.judging.total_usd + self.data.unreported.total_usd)


def training_evidence(training: FinishedTraining, best: StudentCandidate | None) -> dict[str, JsonValue]:
    """Return the evidence on a training for the `trained` and `rejected` events."""
    selection, data = training.selection, training.data
    evidence: dict[str, JsonValue] = {
        "judge": data.judge.name,
        "min_agreement": selection.p0,
        "cost_usd": format(training.cost_usd.normalize(), "f"),
        "seconds": training.seconds,
        "tried": [candidate.summary for candidate in selection.candidates],
        "examples": len(data.dataset.in_split("train")),
    }
    if data.judging.total_usd:
        evidence["judging_usd"] = usd_text(data.judging.total_usd)
    evidence["terms"] = {**data.dataset.terms}
    if data.system.has_context:
        evidence["context"] = data.system.summary()
    if training.ablation is not None:
        evidence["synthetic"] = training.ablation.evidence
    return evidence if best is None else {"kind": best.kind, "validation": best.metrics, **evidence}


def acceptance_reason(best: StudentCandidate, training: FinishedTraining) -> str:
    """Return what the best student promises, beside the other variants of its kind."""
    selection = training.selection
    share, n = best.validation.expected_coverage, len(best.validation.calls)
    others = "".join(
        f"; {other.name}: {other.validation.expected_coverage:.0%}"
        for other in selection.trained
        if other.kind == best.kind and other is not best
    )
    worth = f"; {training.ablation.description}" if training.ablation else ""
    return (
        f"{best.name} is expected to serve {share:.0%} of the calls at {best.validation.p0:.0%} agreement, "
        f"by {n} validation calls{others}{worth}"
    )
