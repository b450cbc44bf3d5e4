"""Collect samples into the families of a collector."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from understudies.monitoring.names import Family, MetricName


class Families:
    """The families of a collection, by metric; a value that is unknown adds no sample."""

    def __init__(self, metrics: Sequence[MetricName]) -> None:
        self._families: dict[str, Family] = {metric.name: metric.family() for metric in metrics}

    def add(self, metric: MetricName, value: float | None, *labels: str) -> None:
        """Add a sample with the values of the metric's labels."""
        if value is not None:
            self._families[metric.name].add_metric(list(labels), value)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())
