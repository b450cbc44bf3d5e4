"""Fit the two classification heads, each with out-of-sample scores of the training texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.optimize import minimize

from understudies.students.classifier.features import Features
from understudies.students.classifier.packed_matrix import PackedMatrix
from understudies.students.vectors import Floats
from understudies.students.without_pandas import without_pandas

with without_pandas():
    from sklearn.utils.extmath import randomized_svd

Labels = NDArray[np.intp]

_RIDGE = 0.1
_MAX_WEIGHT = 10.0
_PENALTY = 0.3
_COMPONENTS = 256
_SENTENCE_SCALE = 2.0
_FOLDS = 3
_STEPS = 40


@dataclass(frozen=True, slots=True)
class KernelHead:
    """Kernel ridge regression on sentence vectors, kernel exp(cosine - 1)."""

    support: Floats
    coefficients: Floats

    def cosines(self, features: Features) -> Floats:
        """Return the cosine similarity of each text to each training text."""
        return features.sentences @ self.support.T

    def scores(self, cosines: Floats) -> Floats:
        return np.exp(cosines - 1) @ self.coefficients


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Softmax regression on n-grams and sentence vectors."""

    grams: Floats
    sentences: Floats
    bias: Floats

    def scores(self, features: Features) -> Floats:
        scores: Floats = features.grams @ self.grams + features.sentences @ self.sentences + self.bias
        return scores


def fit_kernel(features: Features, labels: Labels, classes: int, weights: Floats) -> tuple[KernelHead, Floats]:
    """Fit the kernel head; returns it and the exact leave-one-out scores of the training texts.

    The residual of an example left out is a_i / (G^-1)_ii with G = K + ridge / weight and a = G^-1 Y
    (Rasmussen and Williams 2006, equation 5.12), so that out-of-sample scores need no second fit.
    """
    support = features.sentences
    ridge = (_RIDGE / np.minimum(weights, _MAX_WEIGHT)).astype(np.float32)

    def rows(first: int, end: int) -> Floats:
        made = support[first:end] @ support[:end].T
        made -= 1
        np.exp(made, out=made)
        made[np.arange(end - first), np.arange(first, end)] += ridge[first:end]
        return made

    gram = PackedMatrix.make(len(labels), rows)
    targets = np.full((len(labels), classes), -1 / classes, np.float32)
    targets[np.arange(len(labels)), labels] = 1
    coefficients = gram.solve_and_invert(targets)
    left_out = targets - coefficients / gram.diagonal()[:, None]
    return KernelHead(support, coefficients), left_out.astype(np.float32)


def fit_linear(
    features: Features, labels: Labels, classes: int, weights: Floats, seed: int
) -> tuple[LinearHead, Floats]:
    """Fit the linear head; returns it and cross-validated scores of the training texts (three folds)."""
    basis = _basis(features.grams, seed)
    dense = _dense(features, basis)
    fold = np.random.default_rng(seed).permutation(len(labels)) % _FOLDS
    left_out = np.zeros((len(labels), classes), np.float32)
    for held_out in range(min(_FOLDS, len(labels))):
        train = fold != held_out
        if train.any():
            fitted = _softmax_regression(dense[train], labels[train], classes, weights[train])
            left_out[~train] = dense[~train] @ fitted
    fitted = _softmax_regression(dense, labels, classes, weights)
    width = basis.shape[1]
    head = LinearHead(
        grams=np.ascontiguousarray(basis @ fitted[:width]),
        sentences=_SENTENCE_SCALE * fitted[width:-1],
        bias=fitted[-1],
    )
    return head, left_out


def _basis(grams: sparse.csr_matrix, seed: int) -> Floats:
    """Return the directions in which the n-grams of the training texts vary most, shape (terms, directions)."""
    examples, terms = cast("tuple[int, int]", grams.shape)
    components = min(_COMPONENTS, examples - 1, terms - 1)
    if components < 1:
        return np.zeros((terms, 0), np.float32)
    options: dict[str, Any] = {"n_iter": 2, "random_state": seed}
    factors: Any = randomized_svd(grams, components, **options)
    basis: Floats = np.asarray(factors[2], np.float32).T
    return basis


def _dense(features: Features, basis: Floats) -> Floats:
    ones = np.ones((len(features), 1), np.float32)
    return np.hstack([features.grams @ basis, _SENTENCE_SCALE * features.sentences, ones]).astype(np.float32)


def _softmax_regression(dense: Floats, labels: Labels, classes: int, weights: Floats) -> Floats:
    shape = (dense.shape[1], classes)
    here = np.arange(len(labels))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coefficients = flat.reshape(shape).astype(np.float32)
        logs = log_softmax(dense @ coefficients)
        cost = -float(weights @ logs[here, labels]) + _PENALTY / 2 * float((coefficients**2).sum())
        slope = np.exp(logs)
        slope[here, labels] -= 1
        gradient = dense.T @ (slope * weights[:, None]) + _PENALTY * coefficients
        return cost / len(labels), (gradient / len(labels)).ravel().astype(np.float64)

    start = np.zeros(shape[0] * shape[1])
    result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    fitted: Floats = result.x.reshape(shape).astype(np.float32)
    return fitted


def log_softmax(scores: Floats) -> Floats:
    """Return the logarithms of the softmax of each row."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def fit_temperature(scores: Floats, labels: Labels, weights: Floats) -> float:
    """Return the factor on the scores that makes the labels most likely (temperature scaling), in [0.1, 30]."""
    here = np.arange(len(labels))
    factors: Sequence[float] = np.geomspace(0.1, 30, 60).tolist()
    costs = [-float(weights @ log_softmax(scores * factor)[here, labels]) for factor in factors]
    return float(factors[int(np.argmin(costs))])
