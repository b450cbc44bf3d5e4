"""Turn a dataset into a trained and validated student."""

from dataclasses import dataclass

from pydantic import JsonValue

from understudies.trainer.selection import Selection, StudentCandidate
from understudies.trainer.trainers import TrainingData


@dataclass(frozen=True, slots=True)
class FinishedTraining:
    """Finished training whose best student is not saved yet."""

    data: TrainingData
    selection: Selection
    seconds: float


def training_evidence(
    selection: Selection, best: StudentCandidate | None, data: TrainingData, seconds: float
) -> dict[str, JsonValue]:
    """Return the evidence on a training for the `trained` and `rejected` events."""
    evidence: dict[str, JsonValue] = {
        "judge": data.judge.name,
        "min_agreement": selection.p0,
        "cost_usd": format(selection.cost_usd.normalize(), "f"),
        "seconds": seconds,
        "tried": [candidate.summary for candidate in selection.candidates],
        "examples": len(data.dataset.in_split("train")),
    }
    if data.system.has_context:
        evidence["context"] = data.system.summary()
    return evidence if best is None else {"kind": best.kind, "validation": best.metrics, **evidence}


def acceptance_reason(best: StudentCandidate, selection: Selection) -> str:
    """Return what the best student promises, beside the other variants of its kind."""
    share, n = best.validation.expected_coverage, len(best.validation.calls)
    others = "".join(
        f"; {other.name}: {other.validation.expected_coverage:.0%}"
        for other in selection.trained
        if other.kind == best.kind and other is not best
    )
    return (
        f"{best.name} is expected to serve {share:.0%} of the calls at {best.validation.p0:.0%} agreement, "
        f"by {n} validation calls{others}"
    )
