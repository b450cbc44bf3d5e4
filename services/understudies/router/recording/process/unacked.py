"""Queue serialized events until they are sent and then settled."""

from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Final, NamedTuple

from understudies.router.recording.process.shared_log import SharedLog

SerializedEvent = bytes


class EventBatch(NamedTuple):
    """Events that are sent together; the sequence number of the first one counts all events before it."""

    first: int
    events: list[SerializedEvent]


CAPACITY_BYTES: Final = 256 * 1024 * 1024


class UnackedQueue:
    """A FIFO queue in batches, bounded by count and size.

    The receiver of the batches settles events in the order in which they were sent, and reports the total count.
    """

    def __init__(self, limit: int, max_bytes: int = CAPACITY_BYTES) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._unsent: list[SerializedEvent] = []
        self._sent: deque[EventBatch] = deque()
        self._count = 0
        self._added = 0
        self._shared: SharedLog | None = None
        self.acked = 0
        """The number of events settled since `redeliver`."""
        self.size = 0
        """The bytes of all events."""

    def __len__(self) -> int:
        return self._count

    def share(self, shared: SharedLog | None) -> None:
        """Append the events added from now on to shared memory too, until they are sent."""
        self._shared = shared

    def add(self, event: SerializedEvent) -> bool:
        """Append an event; return False if there is no room."""
        if self._count >= self._limit or (self._count and self.size + len(event) > self._max_bytes):
            return False
        self._unsent.append(event)
        if self._shared is not None:
            self._shared.append(self._added, event)
        self._added += 1
        self._count += 1
        self.size += len(event)
        return True

    def take(self, *, flushed: bool = False) -> EventBatch | None:
        """Return the events to send now as a batch; None if there are none.

        `flushed` says that all batches taken before are in the kernel's hands, and need not be shared any more.
        """
        if not self._unsent:
            return None
        batch = EventBatch(self._added - len(self._unsent), self._unsent)
        self._unsent = []
        self._sent.append(batch)
        if flushed and self._shared is not None:
            self._shared.rotate()
        return batch

    def ack(self, acked: int) -> None:
        """Drop settled events, as far as whole batches are settled."""
        while self._sent and self.acked + len(self._sent[0].events) <= acked:
            self.acked += self.drop_oldest_batch()

    def redeliver(self) -> Iterable[EventBatch]:
        """Return the batches that were sent but are not settled, to send them to a new process."""
        self.acked = 0
        return self._sent

    def drop_oldest_batch(self) -> int:
        """Drop the batch that was sent first; return the number of its events, 0 if there is none."""
        if not self._sent:
            return 0
        events = self._sent.popleft().events
        self._count -= len(events)
        self.size -= sum(map(len, events))
        return len(events)

    def drain(self) -> list[SerializedEvent]:
        """Remove and return all events, oldest first."""
        events = [*chain(*(batch.events for batch in self._sent), self._unsent)]
        self._sent.clear()
        self._unsent.clear()
        self._count = self.size = 0
        return events
