"""The sentence encoder fine-tuned on banking77's official split, beside the classifier that reads its frozen vectors.

Run as `python bench/fine_tuning.py [calls.jsonl.gz] [--epochs 5] [--examples 10003] [--seed 0]`, in an environment that
also has PyTorch, which nothing else here needs; the last line is one JSON object. The fine-tuned encoder's scores are
pooled with those of the classifier's two heads. Weights of the pool, confidence and threshold are fitted on a fifth of
the training calls, held out of both; encoder and classifier are then fitted on all, and test calls are only counted.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.banking77 import DATA, TARGET_AGREEMENT, HeldOutResult, LabelledTexts, read_split
from bench.encoders.fine_tuned_encoder import FineTunedEncoder

from understudies.students.classifier.confidence import Doubles, predict_labels
from understudies.students.classifier.model import ClassifierModel, fit_classifier
from understudies.students.confidence_model import ConfidenceModel
from understudies.students.vectors import Floats

_FOLDS: Final = 5


class Scores:
    """Scores of texts by the classifier's heads, and by the fine-tuned encoder where there is one."""

    def __init__(self, train: LabelledTexts, given: LabelledTexts, *, epochs: int, seed: int) -> None:
        self.model: ClassifierModel = fit_classifier(train.texts, train.labels, seed=seed, encoder=True)
        index = {label: code for code, label in enumerate(self.model.labels)}
        self.codes = np.array([index.get(label, -1) for label in given.labels])
        features = self.model.featurizer(given.texts)
        self.cosines = self.model.kernel.cosines(features)
        self.kernel = self.model.kernel.scores(self.cosines)
        self.heads: list[Floats] = [
            self.model.pool.kernel * self.kernel,
            self.model.pool.linear * self.model.linear.scores(features),
        ]
        start = time.process_time()
        if epochs:
            encoder = FineTunedEncoder(len(self.model.labels), seed)
            encoder.fit(train.texts, self.model.training_labels, epochs)
            encoder.round_to_bytes()
            self.heads.append(encoder.scores(given.texts))
        self.cpu_seconds = time.process_time() - start

    def fit_pool(self) -> NDArray[np.float64]:
        """Return the weights of the heads that make the labels most likely; none is negative."""
        known = np.flatnonzero(self.codes >= 0)
        heads = [one[known].astype(np.float64) for one in self.heads]
        given = [one[np.arange(len(known)), self.codes[known]] for one in heads]

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logs = _log_softmax(self._pooled(weights)[known])
            chances = np.exp(logs)
            slope = [((chances * one).sum(axis=1) - own).mean() for one, own in zip(heads, given, strict=True)]
            return -float(logs[np.arange(len(known)), self.codes[known]].mean()), np.array(slope)

        start = np.full(len(self.heads), 1 / len(self.heads))
        found: NDArray[np.float64] = minimize(loss, start, jac=True, bounds=[(0, None)] * len(start)).x
        return found

    def predict(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.bool_], Doubles]:
        """Return which labels agree, and the features of the predictions."""
        logs = _log_softmax(self._pooled(weights))
        prediction = predict_labels(logs, self.kernel, self.cosines, self.model.training_labels)
        return prediction.labels == self.codes, prediction.features

    def _pooled(self, weights: NDArray[np.float64]) -> Doubles:
        pooled: Doubles = sum(
            (one.astype(np.float64) * weight for one, weight in zip(self.heads, weights, strict=True)),
            np.zeros(self.kernel.shape),
        )
        return pooled


def _log_softmax(scores: Doubles) -> Doubles:
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Doubles = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def fit_confidence(features: Doubles, agreed: NDArray[np.bool_]) -> ConfidenceModel:
    return ConfidenceModel.fit(features, agreed, np.ones(len(agreed), np.float32))


def sort_by_confidence(confidences: Doubles, agreed: NDArray[np.bool_]) -> HeldOutResult:
    order = np.argsort(-confidences, kind="stable")
    return HeldOutResult(confidences[order], agreed[order])


def compute_figures(train: LabelledTexts, test: LabelledTexts, *, epochs: int, seed: int) -> dict[str, Any]:
    order = random.Random(seed).sample(range(len(train.texts)), len(train.texts))
    fifth = len(order) // 5
    held_out = Scores(train.select(order[fifth:]), train.select(order[:fifth]), epochs=epochs, seed=seed)
    weights = held_out.fit_pool()
    agreed, features = held_out.predict(weights)
    confidences = np.zeros(len(agreed))
    for fold in range(_FOLDS):
        inside = np.arange(len(agreed)) % _FOLDS == fold
        confidences[inside] = fit_confidence(features[~inside], agreed[~inside])(features[inside])
    threshold = sort_by_confidence(confidences, agreed).threshold_at(TARGET_AGREEMENT)
    fitted = Scores(train, test, epochs=epochs, seed=seed)
    right, evidence = fitted.predict(weights)
    tested = sort_by_confidence(fit_confidence(features, agreed)(evidence), right)
    served = tested.confidences >= threshold
    return {
        "weights": np.round(weights, 2).tolist(),
        "served": round(float(served.mean()), 4),
        "agreement": round(float(tested.agreed[served].mean()), 4) if served.any() else None,
        "agreement_of_all": round(float(right.mean()), 4),
        "served_at_95": round(tested.served_at(0.95), 4),
        "served_at_96.9": round(tested.served_at(TARGET_AGREEMENT), 4),
        "cpu_seconds": round(held_out.cpu_seconds + fitted.cpu_seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", nargs="?", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--examples", type=int, default=10_003)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    train, test = read_split(given.calls, "train"), read_split(given.calls, "test")
    train = train.select(range(min(given.examples, len(train.texts))))
    found: dict[str, Any] = {"train": len(train.texts), "test": len(test.texts)}
    for name, epochs in (("frozen", 0), ("fine-tuned", given.epochs)):
        found[name] = compute_figures(train, test, epochs=epochs, seed=given.seed)
        print(f"{name}: {found[name]}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
