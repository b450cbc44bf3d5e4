"""Report how far a service is behind its topics."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from understudies.monitoring import names
from understudies.monitoring.families import Families
from understudies.runtime.runner import Runner


class ServiceCollector(Collector):
    """Lag and readiness of the services of this process."""

    def __init__(self, runners: Sequence[Runner]) -> None:
        self._runners = runners

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        found = Families(names.SERVICE_METRICS)
        for runner in self._runners:
            name = runner.service.name
            found.add(names.LAG, runner.lag, name)
            found.add(names.READY, float(runner.is_running), name)
        yield from found
