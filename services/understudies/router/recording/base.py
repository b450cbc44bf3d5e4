"""Define what the router needs of a recorder: protocols, event sinks and statistics."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from understudies.events import BY_NAME, Event
from understudies.runtime.bus.messages import BusMessage, encode_message

LossReason = Literal["buffer_full", "spool_full", "refused", "spoilt", "unwritable"]
"""Reason for losing an event: memory full, disk full, too large for the bus, unreadable on disk, or the recorder
process crashed on it repeatedly."""


@dataclass(slots=True)
class RecorderStats:
    """Counts since the start; each recorded event is published, spooled, dropped or still in memory."""

    recorded: int = 0
    """Events accepted, or dropped because memory was full."""
    unrecordable: int = 0
    """Events that could not be redacted or encoded; nothing of them was kept."""
    published: int = 0
    """Events that arrived at the bus, including those from the spool."""
    spooled: int = 0
    """Events written to disk."""
    lost: Counter[LossReason] = field(default_factory=Counter)

    @property
    def recorded_share(self) -> float:
        """The share of the calls handed to the recorder that is neither lost nor unrecordable; 1 before the first."""
        return 1.0 if not self.recorded else 1.0 - (self.dropped + self.unrecordable) / self.recorded

    @property
    def dropped(self) -> int:
        """The number of lost events, for any reason."""
        return self.lost.total()

    def plus(self, other: "RecorderStats") -> "RecorderStats":
        """Return the sum of both."""
        return RecorderStats(
            self.recorded + other.recorded,
            self.unrecordable + other.unrecordable,
            self.published + other.published,
            self.spooled + other.spooled,
            self.lost + other.lost,
        )


class SpoolSnapshot(NamedTuple):
    """The size in bytes of the events on disk, the number of files, and the age of the oldest."""

    size: int
    segments: int
    age_s: float


PublishEvents = Callable[..., Awaitable[None]]
"""Publishes the events given; raises if not all were accepted."""


@runtime_checkable
class EventSink(Protocol):
    """The part of the bus that the recorder uses."""

    def to_message(self, event: Event) -> BusMessage: ...
    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None: ...


class DecodingSink:
    """Adapt a function that publishes decoded events to an `EventSink`."""

    def __init__(self, deliver: PublishEvents) -> None:
        self._deliver = deliver

    def to_message(self, event: Event) -> BusMessage:
        """Encode an event."""
        return encode_message(event, "router")

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        """Decode and publish the events."""
        await self._deliver(*(BY_NAME[message.topic].decode(message.value) for message in messages))


class SpoolStats(Protocol):
    """Events on disk: the size in bytes, the number of files, and the age of the oldest."""

    @property
    def size(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def age_s(self) -> float: ...


class EventRecorder(Protocol):
    """Deliver recorded events to the bus, in this process or in a separate one."""

    def __len__(self) -> int:
        """The number of events in memory."""
        ...

    @property
    def bytes(self) -> int:
        """The approximate memory that they take."""
        ...

    @property
    def counts(self) -> RecorderStats: ...
    @property
    def dropped(self) -> int:
        """The number of lost events."""
        ...

    @property
    def bus_unavailable(self) -> bool:
        """Return whether the bus is unavailable: it did not accept the last events."""
        ...

    @property
    def spool(self) -> SpoolStats | None:
        """The statistics of the events on disk, None without a spool."""
        ...

    @property
    def restarts(self) -> int:
        """The number of times that the recorder process ended and was restarted; 0 without one."""
        ...

    async def start(self) -> None:
        """Start delivering in the background."""
        ...

    async def flush(self) -> None:
        """Wait until memory is empty."""
        ...

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """Flush within a time-out; return False, and log, if events are left."""
        ...

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver waiting events within a time-out, write the rest to disk, and stop."""
        ...
