"""Track events in flight between the services of one process: published and not yet handled."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InFlightTracker:
    """Count events published and consumed, so that a driver can wait until every service has handled everything.

    An event counts as published before it is sent, and as consumed after its handler has returned. Events that a
    handler publishes are therefore counted before the event that caused them is consumed, and an idle state is final:
    only a new event from outside can end it.
    """

    def __init__(self) -> None:
        self._published: Counter[str] = Counter()
        self._consumed: Counter[tuple[str, str]] = Counter()
        self._held: Counter[str] = Counter()
        self._failures: dict[str, BaseException] = {}
        self._changed = asyncio.Event()

    def register(self, service: str, topics: Iterable[str]) -> None:
        """Declare that a service handles everything ever published to the topics."""
        for topic in topics:
            self._consumed[service, topic] += 0
        self._changed.set()

    def unregister(self, service: str) -> None:
        """Stop waiting for a service that has been stopped."""
        for key in [key for key in self._consumed if key[0] == service]:
            del self._consumed[key]
        self._changed.set()

    def record_published(self, topic: str, n: int = 1) -> None:
        """Count events about to be sent; a negative number subtracts those that were not sent."""
        self._published[topic] += n
        self._changed.set()

    def record_consumed(self, service: str, topic: str, n: int = 1) -> None:
        """Count events whose handler has returned."""
        if (service, topic) in self._consumed:
            self._consumed[service, topic] += n
            self._changed.set()

    @contextmanager
    def hold_open(self, service: str) -> Iterator[None]:
        """Keep `wait_until_idle` waiting during work that a service does outside its handler."""
        self._held[service] += 1
        try:
            yield
        finally:
            self._held[service] -= 1
            self._changed.set()

    def record_failure(self, service: str, error: BaseException) -> None:
        """Record the error of a failed service; `wait_until_idle` raises it."""
        self._failures.setdefault(service, error)
        self._changed.set()

    @property
    def lag(self) -> dict[str, int]:
        """The number of open events and work items by service; empty when idle."""
        lag: Counter[str] = Counter(+self._held)
        for (service, topic), consumed in self._consumed.items():
            lag[service] += max(0, self._published[topic] - consumed)
        return dict(+lag)

    async def wait_until_idle(self) -> None:
        """Wait until every service has handled everything published; raises the error of a failed service."""
        while True:
            if self._failures:
                raise next(iter(self._failures.values()))
            if not self.lag:
                return
            self._changed.clear()
            await self._changed.wait()
