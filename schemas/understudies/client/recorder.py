"""A bounded buffer of calls with a background thread that delivers them, so that the agent never waits."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from understudies.client.errors import NotRecorded
from understudies.client.sinks import OutgoingEvent, Sink
from understudies.client.worker import BufferedEntry, DeliveryWorker

log = logging.getLogger("understudies.client")

_MAX_BATCH = 100
_LOG_INTERVAL_SECONDS = 60.0
_MAX_CHARACTERS = 64_000_000


class CallRecorder:
    """Accepts calls and events without blocking and delivers them in order, at least once.

    When the buffer is full, new entries are dropped: an accepted entry is never evicted, so the record is an
    unbroken run of calls, whole episodes included, up to the moment when the buffer filled; and refusing an entry
    costs the agent nothing.
    """

    def __init__(
        self,
        encoder: Callable[[Any], OutgoingEvent],
        sinks: Callable[[], Sequence[Sink]],
        max_buffer: int,
        max_bytes: int,
        exit_timeout: float,
    ) -> None:
        self._encoder = encoder
        self._sinks = sinks
        self._max_buffer = max_buffer
        self._max_bytes = max_bytes
        self._exit_timeout = exit_timeout
        self._reset()
        _RECORDERS.add(self)

    def _reset(self) -> None:
        """Reset all state, as after a fork: the child has no worker thread, and the parent delivers its own buffer."""
        # Reentrant: a stream may be garbage-collected, and then recorded, while its thread holds the lock.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._buffer: deque[BufferedEntry] = deque()
        self._characters = 0
        self._accepted = 0
        self._settled = 0
        self._passed = 0
        self._losses_by_reason: Counter[str] = Counter()
        self._last_logged = -_LOG_INTERVAL_SECONDS
        self._closed = False
        self._worker: DeliveryWorker | None = None

    def put(self, item: Any, characters: int = 0, delivered: "Future[None] | None" = None) -> bool:
        """Append an item; returns False if it was dropped: too large, no room, or the recorder is closed."""
        if characters > self._max_bytes:
            return self.count_loss("too_large")
        with self._lock:
            if self._closed:
                return self.count_loss("closed")
            if len(self._buffer) >= self._max_buffer or self._characters > _MAX_CHARACTERS:
                return self.count_loss("full")
            self._buffer.append(BufferedEntry(item, characters, delivered))
            self._characters += characters
            self._accepted += 1
            worker = self._worker
            if worker is None:
                worker = self._worker = DeliveryWorker(self)
                worker.start()
        worker.wake()
        return True

    def count_loss(self, reason: str, count: int = 1, detail: object = "") -> bool:
        """Count lost entries and log at most once a minute; returns False."""
        with self._lock:
            self._losses_by_reason[reason] += count
            now = time.monotonic()
            silent = now - self._last_logged < _LOG_INTERVAL_SECONDS
            if not silent:
                self._last_logged = now
        if not silent:
            log.warning(
                "calls not recorded so far: %s; last reason: %s %s", dict(self._losses_by_reason), reason, detail
            )
        return False

    def count_passed(self) -> None:
        """Count a call that passed the router, which records it."""
        with self._lock:
            self._passed += 1

    @property
    def passed(self) -> int:
        """The number of calls that passed the router."""
        with self._lock:
            return self._passed

    @property
    def losses(self) -> dict[str, int]:
        """The number of lost entries by reason."""
        with self._lock:
            return dict(self._losses_by_reason)

    @property
    def settled_count(self) -> int:
        """The number of accepted entries that have been delivered or lost."""
        with self._lock:
            return self._settled

    def flush(self, timeout: float) -> bool:
        """Wait until all entries accepted so far are settled; returns False if `timeout` seconds ran out."""
        with self._lock:
            goal = self._accepted
            return self._changed.wait_for(lambda: self._settled >= goal, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Flush, then stop the thread; entries that could not be delivered in time are lost."""
        with self._lock:
            if self._closed:
                return
        self.flush(self._exit_timeout if timeout is None else timeout)
        with self._lock:
            self._closed = True
            worker = self._worker
        if worker is not None:
            worker.stop()
        with self._lock:
            unsent = self._accepted - self._settled
            entries, self._buffer = list(self._buffer), deque()
            if unsent:
                self.count_loss("unsent", unsent)
        for entry in entries:
            entry.fail("the client was closed before the event was delivered")

    def restart_after_fork(self, parent_objects: list[Any]) -> None:
        """Reset in a child process; the parent's objects go into `parent_objects`, which keeps them alive."""
        parent_objects.append((self._worker, self._buffer))
        closed = self._closed
        self._reset()
        self._closed = closed

    # Called by the worker

    @property
    def has_entries(self) -> bool:
        """True if the buffer holds entries."""
        return bool(self._buffer)

    def take_batch(self) -> list[BufferedEntry]:
        """Remove the oldest entries from the buffer and return them."""
        with self._lock:
            taken = [self._buffer.popleft() for _ in range(min(_MAX_BATCH, len(self._buffer)))]
            self._characters -= sum(entry.characters for entry in taken)
            return taken

    def encode(self, entry: BufferedEntry) -> OutgoingEvent | None:
        """Encode an entry; returns None, and counts the loss, if it cannot be recorded."""
        try:
            outgoing = self._encoder(entry.item)
        except NotRecorded as error:
            self.count_loss(error.reason, detail=error)
            entry.fail(str(error))
        except Exception as error:  # noqa: BLE001 - one unreadable call must not end the recording
            self.count_loss("unreadable", detail=repr(error)[:500])
            entry.fail(repr(error)[:500])
        else:
            return outgoing
        return None

    def settle_entries(self, entries: Sequence[BufferedEntry]) -> None:
        """Mark the entries as finished: delivered, unless they have failed."""
        for entry in entries:
            entry.succeed()
        with self._lock:
            self._settled += len(entries)
            self._changed.notify_all()

    def open_sinks(self) -> Sequence[Sink]:
        """Create the sinks for a new worker."""
        return self._sinks()


_RECORDERS: "weakref.WeakSet[CallRecorder]" = weakref.WeakSet()
# Collecting the parent's loop in a child would remove the parent's sockets from the epoll set that both share.
_PARENT_OBJECTS: list[Any] = []


def _after_fork_in_child() -> None:
    for recorder in list(_RECORDERS):
        recorder.restart_after_fork(_PARENT_OBJECTS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@atexit.register
def _close_all() -> None:
    for recorder in list(_RECORDERS):
        recorder.close()
