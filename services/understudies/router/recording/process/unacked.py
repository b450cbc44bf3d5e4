"""Packed events that wait: first to be sent, then until they are settled."""

from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Final

SerializedEvent = bytes
EventBatch = list[SerializedEvent]

CAPACITY_BYTES: Final = 256 * 1024 * 1024


class UnackedQueue:
    """First in, first out, in batches, bounded by number and by size.

    Whoever is sent the batches settles events in the order in which it was sent them, and says how many in all.
    """

    def __init__(self, most: int, most_bytes: int = CAPACITY_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._unsent: EventBatch = []
        self._sent: deque[EventBatch] = deque()
        self._count = 0
        self.acked = 0
        """How many events were settled since `redeliver`."""
        self.size = 0
        """Bytes of all of them."""

    def __len__(self) -> int:
        return self._count

    def add(self, event: SerializedEvent) -> bool:
        """Take one more; False where there is no room."""
        if self._count >= self._most or (self._count and self.size + len(event) > self._most_bytes):
            return False
        self._unsent.append(event)
        self._count += 1
        self.size += len(event)
        return True

    def take(self) -> EventBatch:
        """What was not sent yet, to be sent now; empty where there is none."""
        batch, self._unsent = self._unsent, []
        if batch:
            self._sent.append(batch)
        return batch

    def ack(self, acked: int) -> None:
        """Forget the first events, as far as whole batches of them are settled."""
        while self._sent and self.acked + len(self._sent[0]) <= acked:
            self.acked += self.drop_oldest_batch()

    def redeliver(self) -> Iterable[EventBatch]:
        """What was sent and is not settled: to be sent anew, to somebody else."""
        self.acked = 0
        return self._sent

    def drop_oldest_batch(self) -> int:
        """Forget the batch that was sent first; returns how many events it had, 0 where there is none."""
        if not self._sent:
            return 0
        batch = self._sent.popleft()
        self._count -= len(batch)
        self.size -= sum(map(len, batch))
        return len(batch)

    def drain(self) -> list[SerializedEvent]:
        """Give all away, oldest first."""
        events = [*chain(*self._sent, self._unsent)]
        self._sent.clear()
        self._unsent.clear()
        self._count = self.size = 0
        return events
