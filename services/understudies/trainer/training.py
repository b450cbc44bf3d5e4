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


def acceptance_reason(best: StudentCandidate) -> str:
    share, n = best.validation.expected_coverage, len(best.validation.calls)
    return (
        f"{best.kind} is expected to serve {share:.0%} of the calls at {best.validation.p0:.0%} agreement, "
        f"by {n} validation calls"
    )
