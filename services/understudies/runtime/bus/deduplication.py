"""Deduplicate events that a service has already folded, for topics that deliver at least once."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, TypeVar

from understudies.events import Event
from understudies.persistence.fields import OrderedNames
from understudies.persistence.saved_state import ROOT, SavedState

AnyEvent = TypeVar("AnyEvent", bound=Event)


class SeenIds(SavedState):
    """Ids of the most recently folded events; the oldest are dropped first.

    A producer that does not know whether an event arrived sends it again with the same id, and a batch whose handler
    failed is redelivered: both happen soon after the first time, so a bounded memory is enough. A router that was cut
    off for a minute sends again what was on its way then, after what a thousand calls a second left on the topic.
    """

    _ids: Annotated[OrderedNames, ROOT]

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._ids = {}

    def filter_new(self, events: Sequence[AnyEvent]) -> list[AnyEvent]:
        """Return the events that have not been folded yet, each once, in order."""
        new: dict[str, AnyEvent] = {}
        for event in events:
            if event.id not in self._ids:
                new.setdefault(event.id, event)
        return list(new.values())

    def add(self, events: Iterable[Event]) -> None:
        """Remember events as folded."""
        self._ids.update(dict.fromkeys(event.id for event in events))
        # All at once: to find the first of a dict takes as long as many were deleted before it.
        for oldest in list(islice(self._ids, max(0, len(self._ids) - self._capacity))):
            del self._ids[oldest]
