"""Counters and histograms for the hot path: an update is one look-up and one addition.

Prometheus' library only writes them out.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class FastCounter(Collector):
    """A counter with labels."""

    def __init__(self, name: str, description: str, labels: Sequence[str]) -> None:
        self._metadata = (name.removesuffix("_total"), description, tuple(labels))
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, amount: int = 1) -> None:
        """Increase the counter; pass one value for each label, in order."""
        self._counts[values] = self._counts.get(values, 0) + amount

    def collect(self) -> Iterator[Metric]:
        """Yield the counts so far."""
        name, description, labels = self._metadata
        family = CounterMetricFamily(name, description, labels=labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class FastHistogram(Collector):
    """A histogram with labels; each bucket counts the values up to its bound."""

    def __init__(self, name: str, description: str, bounds: Sequence[float], labels: Sequence[str]) -> None:
        self._metadata = (name, description, tuple(labels))
        self._bounds = tuple(bounds)
        self._bound_labels = [*map(str, bounds), "+Inf"]
        self._cells: dict[tuple[str, ...], _Cell] = {}

    def add(self, value: float, *values: str) -> None:
        """Add a value; pass one value for each label, in order."""
        cell = self._cells.get(values)
        if cell is None:
            cell = self._cells[values] = _Cell(len(self._bounds) + 1)
        cell.sum += value
        cell.counts[bisect_left(self._bounds, value)] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the distributions so far."""
        name, description, labels = self._metadata
        family = HistogramMetricFamily(name, description, labels=labels)
        for values, cell in self._cells.items():
            family.add_metric(values, list(zip(self._bound_labels, accumulate(cell.counts), strict=True)), cell.sum)
        yield family


class _Cell:
    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0
