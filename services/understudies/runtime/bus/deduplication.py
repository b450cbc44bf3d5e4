"""Which events a service has folded already, for topics that deliver at least once."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from understudies.events import Event

AnyEvent = TypeVar("AnyEvent", bound=Event)


class SeenIds:
    """Ids of the events folded lately; the oldest are forgotten first.

    A producer that is not sure that an event arrived sends it again under its id, and a batch whose handler
    failed comes again: both soon after the first time, so a bounded memory is enough.
    """

    def __init__(self, capacity: int = 10_000, ids: Iterable[str] = ()) -> None:
        self._capacity = capacity
        self._ids = dict.fromkeys(ids)

    def filter_new(self, events: Sequence[AnyEvent]) -> list[AnyEvent]:
        """The events that were not folded yet, each once, in order."""
        found: dict[str, AnyEvent] = {}
        for event in events:
            if event.id not in self._ids:
                found.setdefault(event.id, event)
        return list(found.values())

    def add(self, events: Iterable[Event]) -> None:
        """Remember events as folded."""
        self._ids.update(dict.fromkeys(event.id for event in events))
        while len(self._ids) > self._capacity:
            del self._ids[next(iter(self._ids))]

    def state(self) -> list[str]:
        """The ids, oldest first, JSON-serialisable; the constructor takes them back."""
        return list(self._ids)
