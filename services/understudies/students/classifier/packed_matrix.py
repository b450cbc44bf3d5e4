"""Solve with a symmetric positive definite matrix that is made row by row, in half of its memory.

The lower triangle is kept in LAPACK's rectangular full packed format (Gustavson, Wasniewski, Dongarra and Langou 2010,
"Rectangular full packed format for Cholesky's algorithm", ACM TOMS 37(2)): as fast as a full matrix, unlike the older
packed format, as its parts are ordinary matrices.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.linalg.lapack import get_lapack_funcs

from understudies.students.vectors import Floats

_BLOCK: Final = 512
"""Rows that are made at once."""

_LAYOUT: Final = {"transr": "N", "uplo": "L"}


class PackedMatrix:
    """Symmetric matrix of `size` rows and columns, single precision.

    With half = size // 2, the first `size - half` columns stand one after the other, each from its diagonal element
    on; the triangle that is left, of half rows and columns, stands transposed in the room above them.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._shift = 1 - size % 2
        self._half = size // 2
        # LAPACK's routines write over it, and want it as one vector.
        self._elements = np.empty(size * (size + 1) // 2, np.float32)

    @classmethod
    def make(cls, size: int, rows: Callable[[int, int], Floats]) -> "PackedMatrix":
        """Make a matrix of the lower triangle of `rows(first, end)`, shape (end - first, end), for each block."""
        made = cls(size)
        columns, rest = made._parts()
        split = size - made._half
        for first in range(0, size, _BLOCK):
            end = min(first + _BLOCK, size)
            for row, values in enumerate(rows(first, end), first):
                columns[row, : min(row + 1, split)] = values[: min(row + 1, split)]
                if row >= split:
                    rest[: row - split + 1, row - split] = values[split : row + 1]
        return made

    def _parts(self) -> tuple[Floats, Floats]:
        """The first columns, shape (size, size - half), and the transposed rest, shape (half, half)."""
        every = self._elements.reshape((self.size + self._shift, self.size - self._half), order="F")
        return every[self._shift :], every[: self._half, 1 - self._shift :]

    def diagonal(self) -> Floats:
        """Return the elements on the diagonal."""
        columns, rest = self._parts()
        return np.concatenate([np.diagonal(columns), np.diagonal(rest)])

    def solve_and_invert(self, targets: Floats) -> Floats:
        """Return the solution for each column of `targets`, shape (size, columns), and turn this into its inverse.

        Raises FloatingPointError if the matrix is not positive definite in single precision; it is spoilt then.
        """
        pftrf, pftrs, pftri = get_lapack_funcs(("pftrf", "pftrs", "pftri"), (self._elements,))
        factor, failed = pftrf(self.size, self._elements, overwrite_a=1, **_LAYOUT)
        if failed:
            raise FloatingPointError("the kernel matrix is not positive definite in single precision")
        solution, _ = pftrs(self.size, factor, targets, **_LAYOUT)
        self._elements, _ = pftri(self.size, factor, overwrite_a=1, **_LAYOUT)
        return np.ascontiguousarray(solution, np.float32)
