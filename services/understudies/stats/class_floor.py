"""A floor on agreement within each class of the teacher's answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_ALPHA = 0.05


class ClassFloor:
    """Counts per teacher answer class and candidate threshold, and the thresholds that fail some class.

    Under skew a constant student agrees as often as the largest class occurs; a floor for every class with
    enough verdicts keeps it from being promoted. A class fails when its counts show it to lie below the floor,
    by the 95% Clopper-Pearson upper bound: with dozens of classes of twenty verdicts each, some fall below by
    chance alone, and a floor on the plain mean would then withhold nearly every student of a fine-grained task.
    The floor can only withhold what the gates allow, so their bound stands. Counting is in place because it runs
    for every verdict; memory grows with the number of classes seen, at most one per verdict.

    Parameters
    ----------
    size
        Number of thresholds, strictest first.
    floor
        Least mean score in [0, 1] within a class.
    min_verdicts
        Verdicts of a class among the calls served at a threshold, from which the floor counts.

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26(4): the upper bound lies below `floor` exactly when a binomial of
    mean `floor` gives as few agreements with probability below .05.

    Raises
    ------
    ValueError
        When floor is outside [0, 1].

    Examples
    --------
    >>> counts = ClassFloor(size=1)
    >>> for _ in range(20):
    ...     counts.add("refund", 0.0, first=0)
    >>> counts.holds().tolist(), counts.failing(0)
    ([False], ['refund'])
    """

    __slots__ = ("_counts", "floor", "min_verdicts", "size")

    def __init__(self, size: int, floor: float = 0.8, min_verdicts: int = 20) -> None:
        if not 0.0 <= floor <= 1.0:
            raise ValueError(f"floor must lie in [0, 1], got {floor!r}")
        self.size = size
        self.floor = floor
        self.min_verdicts = min_verdicts
        self._counts: dict[str, npt.NDArray[np.float64]] = {}

    def add(self, answer_class: str, score: float, first: int) -> None:
        """Count one verdict at every threshold from index `first` on."""
        counts = self._counts.get(answer_class)
        if counts is None:
            counts = self._counts[answer_class] = np.zeros((2, self.size))
        counts[0, first:] += 1.0
        counts[1, first:] += score

    def holds(self) -> npt.NDArray[np.bool_]:
        """For each threshold, whether no class with enough verdicts falls below the floor."""
        if not self._counts:
            return np.ones(self.size, dtype=np.bool_)
        counts = np.stack(list(self._counts.values()))
        failing: npt.NDArray[np.bool_] = np.logical_or.reduce(self._fails(counts), axis=0)
        return np.logical_not(failing)

    def failing(self, index: int) -> list[str]:
        """The classes below the floor at one threshold, sorted."""
        return self.all_failing()[index]

    def all_failing(self) -> list[list[str]]:
        """For each threshold the classes below the floor, sorted."""
        if not self._counts:
            return [[] for _ in range(self.size)]
        names = sorted(self._counts)
        fails = self._fails(np.stack([self._counts[name] for name in names]))
        return [[names[row] for row in np.flatnonzero(column)] for column in fails.T]

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "floor": self.floor,
            "min_verdicts": self.min_verdicts,
            "size": self.size,
            "counts": {name: counts.tolist() for name, counts in self._counts.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The counts that `state` was taken from."""
        restored = cls(state["size"], state["floor"], state["min_verdicts"])
        restored._counts = {name: np.array(counts, dtype=np.float64) for name, counts in state["counts"].items()}
        return restored

    def _fails(self, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        n, total = counts[:, 0], counts[:, 1]
        enough: npt.NDArray[np.bool_] = n >= self.min_verdicts
        critical = np.zeros(n.shape)
        critical[enough] = [_critical(int(count), self.floor) for count in n[enough]]
        return enough & (total < critical)


@lru_cache(maxsize=65536)
def _critical(n: int, floor: float) -> int:
    """The least number of agreements among `n` that is not significantly (5%, one-sided) below the floor.

    >>> _critical(20, 0.8)
    13
    """
    if floor in (0.0, 1.0):
        return n if floor else 0
    log_p, log_q = math.log(floor), math.log1p(-floor)
    below = 0.0
    for agree in range(n + 1):
        ways = math.lgamma(n + 1) - math.lgamma(agree + 1) - math.lgamma(n - agree + 1)
        below += math.exp(ways + agree * log_p + (n - agree) * log_q)
        if below >= _ALPHA:
            return agree
    return n
