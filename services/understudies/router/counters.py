"""Counters and histograms for the hot path: a look-up and an addition; Prometheus' library writes them out."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class FastCounter(Collector):
    """How often something happened, by labels."""

    def __init__(self, name: str, description: str, labels: Sequence[str]) -> None:
        self._about = (name.removesuffix("_total"), description, tuple(labels))
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *values: str) -> None:
        """It happened once more; there is a value for each label, in order."""
        self._counts[values] = self._counts.get(values, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """All counts so far."""
        name, what, labels = self._about
        family = CounterMetricFamily(name, what, labels=labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family


class FastHistogram(Collector):
    """How values are distributed, by labels: counted in buckets, each with the values up to its bound."""

    def __init__(self, name: str, description: str, bounds: Sequence[float], labels: Sequence[str]) -> None:
        self._about = (name, description, tuple(labels))
        self._bounds = tuple(bounds)
        self._shown = [*map(str, bounds), "+Inf"]
        self._cells: dict[tuple[str, ...], _Cell] = {}

    def add(self, value: float, *values: str) -> None:
        """One more value; there is a value for each label, in order."""
        cell = self._cells.get(values)
        if cell is None:
            cell = self._cells[values] = _Cell(len(self._bounds) + 1)
        cell.sum += value
        cell.counts[bisect_left(self._bounds, value)] += 1

    def collect(self) -> Iterator[Metric]:
        """All distributions so far."""
        name, what, labels = self._about
        family = HistogramMetricFamily(name, what, labels=labels)
        for values, cell in self._cells.items():
            family.add_metric(values, list(zip(self._shown, accumulate(cell.counts), strict=True)), cell.sum)
        yield family


class _Cell:
    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0
