"""Define what the router needs of a recorder: protocols, event sinks and statistics."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from understudies.events import BY_NAME, Event
from understudies.runtime.bus.messages import BusMessage, encode_message

LossReason = Literal["buffer_full", "spool_full", "refused", "spoilt", "unwritable"]
"""Why an event is lost: no room in memory, none on disk, too large for the bus, unreadable on disk, or the process
that records ended over it again and again."""


@dataclass(slots=True)
class RecorderStats:
    """Counted since the start; what is recorded is published, spooled, dropped or still in memory."""

    recorded: int = 0
    """Taken, or dropped for want of room."""
    unrecordable: int = 0
    """Could not be redacted or encoded; nothing of them was kept."""
    published: int = 0
    """Arrived at the bus, those from the spool included."""
    spooled: int = 0
    """Written to disk."""
    lost: Counter[LossReason] = field(default_factory=Counter)

    @property
    def recorded_share(self) -> float:
        """Of the calls handed over, the share that is not lost and could be recorded; 1 before the first."""
        return 1.0 if not self.recorded else 1.0 - (self.dropped + self.unrecordable) / self.recorded

    @property
    def dropped(self) -> int:
        """Lost, for whichever reason."""
        return self.lost.total()

    def plus(self, other: "RecorderStats") -> "RecorderStats":
        """Both together."""
        return RecorderStats(
            self.recorded + other.recorded,
            self.unrecordable + other.unrecordable,
            self.published + other.published,
            self.spooled + other.spooled,
            self.lost + other.lost,
        )


class SpoolSnapshot(NamedTuple):
    """What waits on disk: its bytes, in how many files, and how long ago the oldest was begun."""

    size: int
    segments: int
    age_s: float


PublishEvents = Callable[..., Awaitable[None]]
"""Publishes the events given; raises where they were not all taken."""


@runtime_checkable
class EventSink(Protocol):
    """The part of the bus that the recorder uses."""

    def to_message(self, event: Event) -> BusMessage: ...
    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None: ...


class DecodingSink:
    """A sink of what takes events as they are."""

    def __init__(self, deliver: PublishEvents) -> None:
        self._deliver = deliver

    def to_message(self, event: Event) -> BusMessage:
        """The event, encoded."""
        return encode_message(event, "router")

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        """Hand over the events."""
        await self._deliver(*(BY_NAME[message.topic].decode(message.value) for message in messages))


class SpoolStats(Protocol):
    """Events on disk: their bytes, in how many files, and how long ago the oldest was begun."""

    @property
    def size(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def age_s(self) -> float: ...


class EventRecorder(Protocol):
    """Sees to it that what was recorded reaches the bus: in this process, or in one of its own."""

    def __len__(self) -> int:
        """How many events are in memory."""
        ...

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        ...

    @property
    def counts(self) -> RecorderStats: ...
    @property
    def dropped(self) -> int:
        """How many events are lost."""
        ...

    @property
    def bus_unavailable(self) -> bool:
        """Whether the bus did not take the last events."""
        ...

    @property
    def spool(self) -> SpoolStats | None:
        """What waits on disk, where there is room for it."""
        ...

    @property
    def restarts(self) -> int:
        """How often the process that records ended and had to be started again; 0 where there is none."""
        ...

    async def start(self) -> None:
        """Begin to deliver in the background."""
        ...

    async def flush(self) -> None:
        """Wait until nothing is left in memory."""
        ...

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """The same within a time-out; False, and a line in the log, where something is left."""
        ...

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver what waits, within a time-out, put the rest on disk, and end."""
        ...
