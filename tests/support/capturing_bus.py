"""A bus that stands still: gives a service events, keeps what it publishes."""

from collections.abc import Sequence
from typing import cast

from understudies.events import Event, encode, topic_of
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record


class CapturingBus:
    """Reads records as the bus does; `failing` is raised by the next publication."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.failing: Exception | None = None

    @property
    def bus(self) -> Bus:
        """As the services' type for it."""
        return cast(Bus, self)

    async def decode_events(self, records: Sequence[Record]) -> list[Event]:
        """The events of the records."""
        return [event for _, event in decode_records(records)[0]]

    async def publish(self, *events: Event) -> None:
        """Keep the events."""
        failing, self.failing = self.failing, None
        if failing is not None:
            raise failing
        self.published += events


def to_records(*events: Event) -> list[Record]:
    """The records that carry the events."""
    return [Record(topic_of(event).name, 0, offset, None, encode(event)) for offset, event in enumerate(events)]
