"""The packed matrix, against numpy's full one."""

import numpy as np
import pytest

from understudies.students.classifier.packed_matrix import PackedMatrix
from understudies.students.vectors import Floats


def make_full(size: int) -> Floats:
    vectors = np.random.default_rng(size).normal(size=(size, 20)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    full: Floats = np.exp(vectors @ vectors.T - 1) + np.diag(np.linspace(0.1, 2, size, dtype=np.float32))
    return full


@pytest.mark.parametrize("size", [1, 2, 3, 4, 17, 511, 512, 513, 1024, 1025, 1300])
def test_solution_and_inverse_are_those_of_the_full_matrix(size: int) -> None:
    full = make_full(size)
    targets = np.random.default_rng(0).normal(size=(size, 3)).astype(np.float32)

    packed = PackedMatrix.make(size, lambda first, end: full[first:end, :end])
    np.testing.assert_array_equal(packed.diagonal(), np.diagonal(full))
    solution = packed.solve_and_invert(targets)

    inverse = np.linalg.inv(full.astype(np.float64))
    np.testing.assert_allclose(solution, inverse @ targets, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(packed.diagonal(), np.diagonal(inverse), rtol=1e-4)


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    full = np.ones((9, 9), np.float32)
    full[4, 4] = -1
    packed = PackedMatrix.make(9, lambda first, end: full[first:end, :end])
    with pytest.raises(FloatingPointError, match="not positive definite"):
        packed.solve_and_invert(np.ones((9, 1), np.float32))
