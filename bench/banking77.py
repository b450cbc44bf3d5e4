"""The classifier on banking77's official split, 77 labels answered by a recorded LLM teacher.

Run as `python bench/banking77.py [calls.jsonl.gz] [--seed 0]`; the last line is one JSON object. The threshold is
chosen on a fifth of the training calls, held out, and the classifier then fitted on all of them; the test calls are
only counted. The first line of figures is without the sentence encoder, the second with it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudies.students.classifier.model import fit_classifier

DATA = Path(__file__).parents[2] / "shared" / "data" / "banking77.jsonl.gz"
TARGET_AGREEMENT = 0.969
REFERENCE = {"agreement": 0.969, "served": 0.763}


class LabelledTexts(NamedTuple):
    texts: list[str]
    labels: list[str]

    def select(self, indices: Sequence[int]) -> LabelledTexts:
        return LabelledTexts([self.texts[i] for i in indices], [self.labels[i] for i in indices])


class HeldOutResult(NamedTuple):
    """Confidences and agreements, surest first."""

    confidences: NDArray[np.float64]
    agreed: NDArray[np.bool_]

    def served_at(self, target: float) -> float:
        """The largest share of the surest calls that agrees at the target."""
        reached = np.flatnonzero(self.running_agreement >= target)
        return float((reached[-1] + 1) / len(self.agreed)) if len(reached) else 0.0

    def threshold_at(self, target: float) -> float:
        """The confidence of the last call served at the target."""
        last = round(self.served_at(target) * len(self.agreed)) - 1
        return float(self.confidences[last]) if last >= 0 else 1.0

    @property
    def running_agreement(self) -> NDArray[np.float64]:
        return np.cumsum(self.agreed) / np.arange(1, len(self.agreed) + 1)


def read_split(path: Path, split: str) -> LabelledTexts:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        calls = [json.loads(line) for line in lines]
    found = [call["messages"] for call in calls if call["tags"]["split"] == split]
    users = ["\n".join(m["content"] for m in messages[:-1] if m["role"] == "user") for messages in found]
    return LabelledTexts(users, [messages[-1]["content"].strip() for messages in found])


def evaluate(
    train: LabelledTexts, test: LabelledTexts, *, seed: int, encoder: bool
) -> tuple[HeldOutResult, float, float]:
    """What a classifier fitted on the first does on the second; seconds to fit, milliseconds to answer."""
    start = time.perf_counter()
    model = fit_classifier(train.texts, train.labels, seed=seed, encoder=encoder)
    fitted = time.perf_counter()
    labels, confidences = model.predict(test.texts)
    answered = (time.perf_counter() - fitted) / len(test.texts)
    agreed = np.array([one == other for one, other in zip(labels, test.labels, strict=True)])
    order = np.argsort(-confidences, kind="stable")
    return HeldOutResult(confidences[order], agreed[order]), fitted - start, answered * 1e3


def compute_figures(train: LabelledTexts, test: LabelledTexts, *, seed: int, encoder: bool) -> dict[str, Any]:
    order = random.Random(seed).sample(range(len(train.texts)), len(train.texts))
    fifth = len(order) // 5
    held_out, _, _ = evaluate(train.select(order[fifth:]), train.select(order[:fifth]), seed=seed, encoder=encoder)
    threshold = held_out.threshold_at(TARGET_AGREEMENT)
    tested, fit_seconds, answer_ms = evaluate(train, test, seed=seed, encoder=encoder)
    served = tested.confidences >= threshold
    return {
        "threshold": round(threshold, 4),
        "served": round(float(served.mean()), 4),
        "agreement": round(float(tested.agreed[served].mean()), 4),
        "agreement_of_all": round(float(tested.agreed.mean()), 4),
        "served_at_95": round(tested.served_at(0.95), 4),
        "served_at_96.9": round(tested.served_at(0.969), 4),
        "fit_seconds": round(fit_seconds, 1),
        "answer_ms": round(answer_ms, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", nargs="?", type=Path, default=DATA)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    train, test = read_split(given.calls, "train"), read_split(given.calls, "test")
    found: dict[str, Any] = {"train": len(train.texts), "test": len(test.texts), "to_beat": REFERENCE}
    for name, encoder in (("without encoder", False), ("with encoder", True)):
        found[name] = compute_figures(train, test, seed=given.seed, encoder=encoder)
        print(f"{name}: {found[name]}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
