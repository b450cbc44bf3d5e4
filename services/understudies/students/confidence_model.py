"""Estimate the probability that the teacher agrees with an answer, from features of how it came about."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from understudies.students.without_pandas import without_pandas

_PRIOR = 0.1
_LEAST_SPREAD = 0.02
_FARTHEST = 5.0
_MOST_ODDS = 30.0

Doubles = NDArray[np.float64]


class OutOfSample(NamedTuple):
    """Confidences in [0, 1] and agreements of training examples that were answered by fits without them."""

    confidences: Doubles
    agreed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """Logistic regression from standardised features to agreement."""

    centre: Doubles
    scale: Doubles
    coefficients: Doubles
    bias: float

    @classmethod
    def fit(cls, evidence: Doubles, agreed: NDArray[np.bool_], weights: NDArray[np.float32]) -> "ConfidenceModel":
        """Fit on predictions for texts on which the heads were not fitted."""
        if agreed.all() or not agreed.any():
            return cls.from_pooled_probability(evidence.shape[1])
        # Imported here, as it takes 150 MB that answering does not need.
        with without_pandas():
            from sklearn.linear_model import LogisticRegression

        # Without a floor, scaling would magnify features that hardly vary.
        spread = np.maximum(evidence.std(axis=0), _LEAST_SPREAD)
        scaler = cls(evidence.mean(axis=0), 1 / spread, np.zeros(evidence.shape[1]), 0.0)
        model = LogisticRegression(C=_PRIOR, max_iter=500)
        model.fit(scaler._standardised(evidence), agreed, sample_weight=weights)
        return cls(scaler.centre, scaler.scale, model.coef_.ravel(), float(np.ravel(model.intercept_)[0]))

    @classmethod
    def from_pooled_probability(cls, width: int) -> "ConfidenceModel":
        """Return a model whose confidence is the label's own pooled probability, if there is nothing to fit on."""
        coefficients = np.zeros(width)
        coefficients[0] = _MOST_ODDS / _FARTHEST
        return cls(np.zeros(width), np.full(width, _FARTHEST / _MOST_ODDS), coefficients, 0.0)

    def _standardised(self, evidence: Doubles) -> Doubles:
        # A single feature far outside the range seen in training must not decide alone.
        return np.clip((evidence - self.centre) * self.scale, -_FARTHEST, _FARTHEST)

    def __call__(self, evidence: Doubles) -> NDArray[np.float64]:
        odds = self._standardised(evidence) @ self.coefficients + self.bias
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
        return probability
