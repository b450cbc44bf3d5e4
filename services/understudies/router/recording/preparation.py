"""From what was taken to messages: redacted and encoded, a little at a time."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from understudies.events import Invocation
from understudies.router.recording.buffer import Buffer, Pending
from understudies.router.recording.counts import Counts
from understudies.router.recording.outlet import Outlet
from understudies.runtime import Message, Seldom

_BATCH_BYTES: Final = 4 * 1024 * 1024
_LARGE: Final = 128 * 1024
"""From this size on a call is redacted in a thread: it takes longer than others of the process should wait."""

_log = logging.getLogger(__name__)


class Preparation:
    """Empties the buffer in slices, between which the calls in progress have their turn.

    A slice takes `slice_s` seconds at most, or half as long as the calls had since the last one: so the work keeps up
    with them under any load, and is hardly felt where there is little.
    """

    def __init__(
        self,
        buffer: Buffer,
        outlet: Outlet,
        counts: Counts,
        *,
        slice_s: float,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._buffer = buffer
        self._outlet = outlet
        self._counts = counts
        self._slice_s = slice_s
        self._timer = timer
        self._complain = Seldom()

    async def batch(self, hand: list[Message], most: int) -> None:
        """Put the messages of the oldest events into the hand, up to so many or some megabytes."""
        room = _BATCH_BYTES
        until = self._timer() + self._slice_s
        while self._buffer and len(hand) < most and room > 0:
            pending, size = self._buffer.take()
            message = self.message(pending) if size < _LARGE else await asyncio.to_thread(self.message, pending)
            if message is not None:
                hand.append(message)
                room -= len(message.value)
            now = self._timer()
            if now >= until:
                await asyncio.sleep(0)
                after = self._timer()
                until = after + max(self._slice_s, (after - now) / 2)

    def all(self, hand: list[Message], most: int) -> None:
        """The same at once."""
        while self._buffer and len(hand) < most:
            message = self.message(self._buffer.take()[0])
            if message is not None:
                hand.append(message)

    def message(self, pending: Invocation | Pending) -> Message | None:
        """The message of an event; None where there is none, or where it cannot be recorded."""
        try:
            event = pending if isinstance(pending, Invocation) else pending()
            return None if event is None else self._outlet.message(event)
        except Exception as error:  # noqa: BLE001 - the redactor may be anyone's; the other events go on
            self._counts.unrecordable += 1
            if self._complain():
                # The error's own words may hold words of the call.
                _log.error(
                    "%d calls could not be recorded so far, the last one for %s",
                    self._counts.unrecordable,
                    type(error).__name__,
                )
            return None
