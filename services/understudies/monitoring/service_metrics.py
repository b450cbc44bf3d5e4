"""Report how far a service is behind its topics."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from understudies.monitoring import names
from understudies.monitoring.families import Families


class RunningService(Protocol):
    """A service of this process, in one runner or in one for each of its partitions."""

    @property
    def name(self) -> str: ...
    @property
    def lag(self) -> int: ...
    @property
    def is_running(self) -> bool: ...


class ServiceCollector(Collector):
    """Lag and readiness of the services of this process."""

    def __init__(self, runners: Sequence[RunningService]) -> None:
        self._runners = runners

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        found = Families(names.SERVICE_METRICS)
        for runner in self._runners:
            found.add(names.LAG, runner.lag, runner.name)
            found.add(names.READY, float(runner.is_running), runner.name)
        yield from found
