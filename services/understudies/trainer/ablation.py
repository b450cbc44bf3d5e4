"""Measure what synthetic examples are worth: train with and without them, and validate both on the same calls."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from pydantic import JsonValue

from understudies.datasets.dataset import Dataset
from understudies.events import usd
from understudies.trainer.costs import counting_lost
from understudies.trainer.selection import Selection, StudentCandidate
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TrainingData


@dataclass(frozen=True, slots=True)
class SyntheticAblation:
    """Expected share of calls served with and without the synthetic examples; None if no student was good enough."""

    examples: int
    share_with: float | None
    share_without: float | None

    @property
    def kept(self) -> bool:
        """Return whether they helped: a student without them that serves as much is the simpler one."""
        return self.share_with is not None and (self.share_without is None or self.share_with > self.share_without)

    @property
    def evidence(self) -> dict[str, JsonValue]:
        """The ablation for the `trained` and `rejected` events."""
        return {
            "examples": self.examples,
            "kept": self.kept,
            "share_with": self.share_with,
            "share_without": self.share_without,
        }

    @property
    def description(self) -> str:
        """What they were worth, as a part of a sentence."""
        shares = f"{_percent(self.share_with)} with them, {_percent(self.share_without)} without"
        return f"{self.examples} synthetic examples were {'kept' if self.kept else 'left out'}: {shares}"


def limit_synthetic(dataset: Dataset, share: float) -> Dataset:
    """Return the dataset with the newest synthetic examples alone, at most `share` of the training split."""
    real = sum(not example.synthetic for example in dataset.in_split("train"))
    synthetic = [example for example in dataset.examples if example.synthetic]
    allowed = synthetic[max(0, len(synthetic) - int(share / (1 - share) * real)) :]
    if len(allowed) == len(synthetic):
        return dataset
    kept = {example.id for example in allowed}
    examples = tuple(example for example in dataset.examples if not example.synthetic or example.id in kept)
    return Dataset(dataset.task, examples)


def select_by_ablation(
    data: TrainingData, settings: TrainerSettings, select: Callable[[TrainingData], Selection]
) -> tuple[TrainingData, Selection, SyntheticAblation | None]:
    """Return the better of the students with and without synthetic examples, with what it was trained on.

    Both trainings count in its cost. Kinds that others are paid for leave synthetic examples out, and the second
    training finds in the journal what the first one paid for. Without such examples there is one training, no ablation.
    """
    count = sum(bool(example.synthetic) for example in data.dataset.examples)
    if not count:
        return data, select(data), None
    real = tuple(example for example in data.dataset.examples if not example.synthetic)
    plain = replace(data, dataset=Dataset(data.dataset.task, real))
    with_them = select(data)
    with counting_lost(data.unreported, lambda: with_them.cost_usd):
        without = select(plain)
    share = partial(_share, settings=settings)
    ablation = SyntheticAblation(count, share(with_them), share(without))
    cost = usd(with_them.cost_usd + without.cost_usd)
    chosen, selection = (data, with_them) if ablation.kept else (plain, without)
    return chosen, replace(selection, cost_usd=cost), ablation


def _share(selection: Selection, *, settings: TrainerSettings) -> float | None:
    best: StudentCandidate | None = selection.best(settings)
    return None if best is None else round(best.validation.expected_coverage, 6)


def _percent(share: float | None) -> str:
    return "no student" if share is None else f"{share:.1%} of calls"
