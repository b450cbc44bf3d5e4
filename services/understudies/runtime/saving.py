"""Keeps a service's snapshots without keeping the service."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from understudies.runtime.seldom import Throttle
from understudies.runtime.snapshots import SnapshotStore

_MIN_INTERVAL_FACTOR: Final = 10.0
"""How many times as long as a snapshot took there is none: a large state is kept less often."""

_log = logging.getLogger(__name__)


class SnapshotWriter:
    """Writes the snapshots of one service in a thread, one after the other.

    The state is encoded before anybody can change it: that holds up the others of the process no less in a thread,
    as Python runs one of them at a time. The disk is what they need not wait for.
    """

    def __init__(self, snapshots: SnapshotStore, service: str, timer: Callable[[], float]) -> None:
        self._snapshots = snapshots
        self._service = service
        self._timer = timer
        self._write_task: asyncio.Task[bool] | None = None
        self._next_due_at = float("-inf")
        self._log_throttle = Throttle()

    @property
    def is_due(self) -> bool:
        """Whether nothing is being written, and the last snapshot has been for long enough."""
        return (self._write_task is None or self._write_task.done()) and self._timer() >= self._next_due_at

    def start_write(self, encode: Callable[[], bytes]) -> None:
        """Take a snapshot, and begin to write it; the one before it must have ended."""
        began = self._timer()
        self._write_task = asyncio.get_running_loop().create_task(self._write(encode(), began))

    async def wait_written(self) -> bool:
        """Wait until nothing is being written; whether the last snapshot is there, where there was one.

        Giving up waiting does not end the writing.
        """
        return True if self._write_task is None else await asyncio.shield(self._write_task)

    async def _write(self, body: bytes, began: float) -> bool:
        try:
            await asyncio.to_thread(self._snapshots.write, self._service, body)
        except OSError as error:
            # A full disk must not end the service, which goes on and tries again.
            if self._log_throttle():
                _log.error("%s cannot keep its state, and tries again: %s", self._service, error)
            return False
        now = self._timer()
        self._next_due_at = now + _MIN_INTERVAL_FACTOR * (now - began)
        return True
