"""How far the services of one process have come: what was published and what is handled."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InFlightTracker:
    """Counts events in and out, so that a driver can wait until every service has handled everything.

    An event counts as published before it is sent and as consumed after its handler returned. What a handler
    publishes is therefore counted before its cause is settled, and a moment with nothing open is final:
    only a new cause from outside can end it.
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
        """Stop waiting for a service that was stopped."""
        for key in [key for key in self._consumed if key[0] == service]:
            del self._consumed[key]
        self._changed.set()

    def record_published(self, topic: str, n: int = 1) -> None:
        """Count events about to be sent; a negative number takes back those that were not."""
        self._published[topic] += n
        self._changed.set()

    def record_consumed(self, service: str, topic: str, n: int = 1) -> None:
        """Count events whose handler has returned."""
        if (service, topic) in self._consumed:
            self._consumed[service, topic] += n
            self._changed.set()

    @contextmanager
    def hold_open(self, service: str) -> Iterator[None]:
        """Hold `wait_until_idle` back during work that a service does outside its handler."""
        self._held[service] += 1
        try:
            yield
        finally:
            self._held[service] -= 1
            self._changed.set()

    def record_failure(self, service: str, error: BaseException) -> None:
        """Record what a service failed with: everyone who waits gets it."""
        self._failures.setdefault(service, error)
        self._changed.set()

    @property
    def lag(self) -> dict[str, int]:
        """Events and pieces of work still open, by service; empty when all is done."""
        lag: Counter[str] = Counter(+self._held)
        for (service, topic), consumed in self._consumed.items():
            lag[service] += max(0, self._published[topic] - consumed)
        return dict(+lag)

    async def wait_until_idle(self) -> None:
        """Wait until every service has handled everything published; raises what a service failed with."""
        while True:
            if self._failures:
                raise next(iter(self._failures.values()))
            if not self.lag:
                return
            self._changed.clear()
            await self._changed.wait()
