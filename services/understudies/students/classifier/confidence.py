"""Predict labels from both heads, with the features from which the confidence in them is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from understudies.students.classifier.heads import Labels
from understudies.students.vectors import Floats

_NEIGHBOURS = 10
_NARROW = 8.0

CHUNK: Final = 200
"""Texts that are compared with all training texts at once: of 12,000, that takes 40 MB."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted labels and the features of each prediction, one row per text."""

    labels: Labels
    features: Doubles


@dataclass(frozen=True, slots=True)
class HeadPool:
    """Combine the heads: the geometric mean of their probabilities, each sharpened by its factor."""

    kernel: float
    linear: float

    def __call__(self, kernel: Floats, linear: Floats) -> Doubles:
        """Return the logarithms of the pooled probabilities, in double precision, so that ties are rare."""
        scores = (kernel.astype(np.float64) * self.kernel + linear.astype(np.float64) * self.linear) / 2
        shifted = scores - scores.max(axis=1, keepdims=True)
        logs: Doubles = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return logs


def predict_labels(logs: Doubles, kernel: Floats, cosines: Floats, known: Labels) -> Prediction:
    """Return the most probable labels and the features of these predictions.

    Features: the log-odds of the label, its lead over the second and the third, the entropy, the kernel head's score,
    lead and total, and of the ten nearest training texts: their weighted share with the label, the largest cosine, and
    the largest cosines with this and with another label.
    """
    labels = logs.argmax(axis=1)
    first, second, third = _largest(logs)
    best, runner_up, _ = _largest(kernel)
    near = _nearest(cosines)
    cosine = np.take_along_axis(cosines, near, axis=1)
    same = known[near] == labels[:, None]
    closeness = np.exp(_NARROW * (cosine - 1))
    evidence = np.stack(
        [
            _log_odds(logs, labels, best),
            first - second,
            first - third,
            -(np.exp(logs) * logs).sum(axis=1),
            best,
            best - runner_up,
            kernel.sum(axis=1),
            (closeness * same).sum(axis=1) / closeness.sum(axis=1),
            cosine.max(axis=1),
            np.where(same, cosine, -1).max(axis=1),
            np.where(same, -1, cosine).max(axis=1),
        ],
        axis=1,
    )
    return Prediction(labels, evidence)


def predict_training_texts(logs: Doubles, kernel: Floats, support: Floats, known: Labels) -> Prediction:
    """Predict as `predict_labels` does for the training texts themselves, none of which is its own neighbour."""
    guesses = []
    for start in range(0, len(logs), CHUNK):
        part = slice(start, start + CHUNK)
        cosines = support[part] @ support.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -1
        guesses.append(predict_labels(logs[part], kernel[part], cosines, known))
    return concatenate_predictions(guesses)


def concatenate_predictions(parts: Sequence[Prediction]) -> Prediction:
    """Return the predictions of all parts, of which there is at least one, as one."""
    return Prediction(np.concatenate([one.labels for one in parts]), np.concatenate([one.features for one in parts]))


def _log_odds(logs: Doubles, labels: Labels, scores: Doubles) -> Doubles:
    if logs.shape[1] == 1:
        # A single label always has probability 1; use the similarity to the training texts instead.
        return 10 * scores - 5
    others = logs.copy()
    others[np.arange(len(logs)), labels] = -np.inf
    highest = others.max(axis=1, keepdims=True)
    rest = highest[:, 0] + np.log(np.exp(others - highest).sum(axis=1))
    odds: Doubles = logs[np.arange(len(logs)), labels] - rest
    return odds


def _largest(scores: Floats | Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the three largest values of each row; with fewer columns, the last one replaces the missing."""
    count = min(3, scores.shape[1])
    top: Doubles = np.sort(np.partition(scores.astype(np.float64), -count, axis=1)[:, -count:], axis=1)
    return top[:, -1], top[:, -min(2, count)], top[:, 0]


def _nearest(cosines: Floats) -> NDArray[np.intp]:
    count = min(_NEIGHBOURS, cosines.shape[1])
    return np.argpartition(-cosines, count - 1, axis=1)[:, :count]
