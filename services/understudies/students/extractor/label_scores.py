"""Score the labels of tokens by their vectors, for use as features of a sequence model."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray

from understudies.students.encoder.runtime import ALL_STATES, DIMENSIONS
from understudies.students.extractor.crf import Features, WeightedFeatures
from understudies.students.vectors import Floats

_INPUTS: Final = 2 * DIMENSIONS
"""A token's vector and the next one's."""
_PENALTY: Final = 1_000.0
_LEAST_SCORE: Final = 0.02
"""Smaller scores say nothing and are left out."""
_BOUNDS: Final = (-0.5, 1.5)
_WEIGHT: Final = 2.0
"""Scores lie between 0 and 1; larger features are penalised less by a model with regularised weights."""


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Ridge regression from the vectors of a token and the next one to the indicators of its label."""

    labels: tuple[str, ...]
    centre: Floats
    scale: float
    weights: Floats
    """Shape (inputs + 1, labels); the last row is the bias."""

    @classmethod
    def fit(
        cls, vectors: Sequence[Floats], tags: Sequence[Sequence[str]]
    ) -> tuple["LabelScores", list[NDArray[np.float64]]]:
        """Fit on token vectors by text, and return each text's scores by a model that did not see it.

        These are exact: with the hat matrix H = X (X'X + penalty)^-1 X', the residuals of a left-out block b are
        (I - H_bb)^-1 times its residuals in the fit on all. A sequence model that learns from scores of seen texts
        would trust them too much.
        """
        inputs = [_in_context(one) for one in vectors]
        labels = tuple(sorted({tag for one in tags for tag in one}))
        stacked = np.vstack(inputs)
        centre, scale = _standard(stacked)
        rows = _with_bias(stacked, centre, scale)
        places = {label: index for index, label in enumerate(labels)}
        targets = np.eye(len(labels))[[places[tag] for one in tags for tag in one]]
        inverse = np.linalg.inv(rows.T @ rows + _PENALTY * np.eye(rows.shape[1]))
        weights = inverse @ (rows.T @ targets)
        residuals = targets - rows @ weights
        held_out: list[NDArray[np.float64]] = []
        begin = 0
        for one in inputs:
            block = slice(begin, begin + len(one))
            hat = rows[block] @ inverse @ rows[block].T
            held_out.append(targets[block] - np.linalg.solve(np.eye(len(one)) - hat, residuals[block]))
            begin += len(one)
        return cls(labels, centre.astype(np.float32), scale, weights.astype(np.float32)), held_out

    def __call__(self, vectors: Floats) -> NDArray[np.float64]:
        """Return the scores of a text's tokens, shape (tokens, labels)."""
        scores: NDArray[np.float64] = _with_bias(_in_context(vectors), self.centre, self.scale) @ self.weights
        return scores

    def to_bytes(self) -> bytes:
        """Return the content of a file."""
        file = BytesIO()
        np.savez(
            file,
            states=np.array(ALL_STATES),
            labels=np.array(self.labels),
            centre=self.centre,
            scale=self.scale,
            weights=self.weights,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "LabelScores":
        """Read what `to_bytes` wrote; raises ValueError for anything else."""
        try:
            with np.load(BytesIO(content), allow_pickle=False) as saved:
                labels = tuple(str(label) for label in saved["labels"])
                states = tuple(str(name) for name in saved["states"])
                scores = cls(labels, saved["centre"], float(saved["scale"]), saved["weights"])
        except (KeyError, ValueError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"the scores of labels are damaged: {error!r}") from error
        if states != ALL_STATES:
            raise ValueError(f"the scores of labels are of the states {states} of the encoder, not of {ALL_STATES}")
        if scores.centre.shape != (_INPUTS,) or scores.weights.shape != (_INPUTS + 1, len(labels)):
            raise ValueError(f"the scores of labels have the shapes {scores.centre.shape} and {scores.weights.shape}")
        return scores

    def add_to(self, features: Features, scores: NDArray[np.float64]) -> WeightedFeatures:
        """Return the features of a text's tokens together with their scores."""
        bounded = _WEIGHT * np.clip(scores, *_BOUNDS)
        return [
            dict.fromkeys(own, 1.0)
            | {
                f"r={label}": value
                for label, value in zip(self.labels, row, strict=True)
                if abs(value) > _WEIGHT * _LEAST_SCORE
            }
            for own, row in zip(features, bounded.tolist(), strict=True)
        ]


def _in_context(vectors: Floats) -> Floats:
    """Return each token's vector beside that of the next one; zeros beyond the end."""
    edge = np.zeros((1, vectors.shape[1]), np.float32)
    return np.hstack([vectors, np.vstack([vectors[1:], edge])])


def _standard(inputs: Floats) -> tuple[Floats, float]:
    """Return the mean of the inputs, and one scale for all."""
    return inputs.mean(axis=0), float(inputs.std(axis=0).mean()) + 1e-9


def _with_bias(inputs: Floats, centre: Floats, scale: float) -> NDArray[np.float64]:
    return np.hstack([(inputs.astype(np.float64) - centre) / scale, np.ones((len(inputs), 1))])
