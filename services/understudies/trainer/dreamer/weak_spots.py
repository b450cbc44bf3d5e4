"""Find the inputs near which a student is weak, on training examples that were held out of its fit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Final, Literal

import numpy as np

from understudies.datasets.dataset import Dataset, Example
from understudies.judges.answer_key import canonical_answer
from understudies.judges.base import Judge
from understudies.stats.coverage import ideal_coverage
from understudies.students.base import request_text
from understudies.students.without_pandas import without_pandas
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import StudentTrainer, TrainedStudent, TrainingData
from understudies.trainer.validation import ValidationCall, held_out_examples

WeakSpotReason = Literal["disagreement", "escalation", "rare", "sparse"]
"""The student was sure and wrong; right but not sure enough; the answer is rare; no other input is near."""

_HALF: Final = 2
_MOST_COMPARED: Final = 2000
_SPARSE_SHARE: Final = 0.1
_RARE_SHARE: Final = 0.1
_FEATURES: Final = 2**16


@dataclass(frozen=True, slots=True)
class WeakSpot:
    """Training example near which more examples should help, and why."""

    example: Example
    reason: WeakSpotReason


def find_weak_spots(
    data: TrainingData, settings: TrainerSettings, p0: float, trainers: Sequence[StudentTrainer]
) -> list[WeakSpot]:
    """Return the weak spots of a task, the four kinds in turns, each example once.

    Only real examples of the training split count: what is written near one of validation or evidence would train the
    student on near copies of its own test. Each half of them is answered by a student that was trained on the other
    half, of the first of `trainers` that suits the task; if none does, only rare answers and sparse regions are known.
    """
    examples = [one for one in data.dataset.in_split("train") if not one.synthetic]
    judged = _judge_halves(examples, data, settings, trainers)
    kinds: tuple[Iterator[WeakSpot], ...] = (
        (WeakSpot(one, "disagreement") for one in _disagreements(judged)),
        (WeakSpot(one, "escalation") for one in _escalations(judged, p0)),
        (WeakSpot(one, "rare") for one in _rare(examples, data.judge)),
        (WeakSpot(one, "sparse") for one in _sparse(examples)),
    )
    in_turns = chain.from_iterable(zip_longest(*kinds))
    return list({spot.example.fingerprint: spot for spot in in_turns if spot is not None}.values())


_Judged = list[tuple[Example, ValidationCall]]


def _judge_halves(
    examples: Sequence[Example], data: TrainingData, settings: TrainerSettings, trainers: Sequence[StudentTrainer]
) -> _Judged:
    halves: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        halves[int(example.fingerprint[-1], 16) % _HALF].append(example)
    if not all(halves):
        return []
    for trainer in trainers:
        found: _Judged = []
        for fitted, asked in (halves, halves[::-1]):
            outcome = trainer.train(_as_training_data(data, fitted, asked), settings)
            if not isinstance(outcome, TrainedStudent):
                break
            found += zip(held_out_examples(asked), outcome.validation_calls, strict=True)
        else:
            return found
    return []


def _as_training_data(data: TrainingData, fitted: Sequence[Example], asked: Sequence[Example]) -> TrainingData:
    held_out = [example.model_copy(update={"split": "validation"}) for example in asked]
    return TrainingData(Dataset(data.dataset.task, (*fitted, *held_out)), data.judge, data.seed, data.system)


def _disagreements(judged: _Judged) -> list[Example]:
    """The wrong answers, the surest first."""
    wrong = [(example, call) for example, call in judged if not call.agreed]
    return [example for example, _ in sorted(wrong, key=lambda pair: (-pair[1].confidence, pair[0].fingerprint))]


def _escalations(judged: _Judged, p0: float) -> list[Example]:
    """The right answers below the best threshold, the nearest to it first."""
    if not judged:
        return []
    ordered = sorted(judged, key=lambda pair: -pair[1].confidence)
    share = ideal_coverage([call.confidence for _, call in ordered], [float(call.agreed) for _, call in ordered], p0)
    return [example for example, call in ordered[round(share * len(ordered)) :] if call.agreed]


def _rare(examples: Sequence[Example], judge: Judge) -> list[Example]:
    """The examples of the rarest repeated answers, which together have a tenth of the calls, the rarest first."""
    labels = [canonical_answer(example.answer, judge) for example in examples]
    counts = Counter(labels)
    repeated = {label: count for label, count in counts.items() if count > 1}
    if len(repeated) < _HALF:
        return []
    most, seen = _RARE_SHARE * sum(repeated.values()), 0
    rare: dict[str, int] = {}
    for label, count in sorted(repeated.items(), key=lambda pair: (pair[1], pair[0])):
        seen += count
        if seen > most:
            break
        rare[label] = count
    chosen = [(rare[label], example) for example, label in zip(examples, labels, strict=True) if label in rare]
    return [example for _, example in sorted(chosen, key=lambda pair: (pair[0], pair[1].fingerprint))]


def _sparse(examples: Sequence[Example]) -> list[Example]:
    """The tenth of the inputs whose nearest other input is the least similar, by words, the loneliest first."""
    # Imported here, as it takes 150 MB that answering does not need.
    with without_pandas():
        from sklearn.feature_extraction.text import HashingVectorizer

    sample = examples[:: max(1, -(-len(examples) // _MOST_COMPARED))]
    if len(sample) < _HALF:
        return []
    vectors: Any = HashingVectorizer(n_features=_FEATURES, alternate_sign=False).transform(
        [request_text(example.request) for example in sample]
    )
    similar = (vectors @ vectors.T).tolil()
    similar.setdiag(0)
    nearest = np.asarray(similar.tocsr().max(axis=1).todense()).ravel()
    order = np.argsort(nearest, kind="stable")[: max(1, round(_SPARSE_SHARE * len(sample)))]
    return [sample[index] for index in order]
