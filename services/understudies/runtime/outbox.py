"""Events that are decided but not published yet."""

from collections.abc import Iterable, Sequence

from understudies.events import BY_NAME, Event, encode, topic_of
from understudies.runtime.bus import Bus


class Outbox:
    """Keeps events until the bus has them, through failures and, as part of a snapshot, through restarts.

    What was decided is in the service's state at once; were its event lost, nobody else would ever hear of it.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Take events, in order."""
        self._events += events

    async def flush(self) -> None:
        """Publish everything; what the bus did not take stays, and comes again with its id."""
        await self._bus.publish(*self._events)
        self._events.clear()

    def state(self) -> list[list[str]]:
        """A JSON-serialisable snapshot: topic and value of each event."""
        return [[topic_of(event).name, encode(event).decode()] for event in self._events]

    def restore(self, state: Sequence[Sequence[str]]) -> None:
        """Continue from a snapshot."""
        self._events = [BY_NAME[topic].decode(value.encode()) for topic, value in state]
