"""Deliver to Kafka, and keep on disk what cannot be delivered at once."""

import asyncio
import logging
import time
from collections.abc import Sequence

from understudies.client.sinks import KafkaSink, OutgoingEvent, Rejections, to_message
from understudies.client.spool import BusMessage, EventSpool

log = logging.getLogger("understudies.client")

_ATTEMPT_TIMEOUT_S = 3.0


class SpoolingSink:
    """Publishes to Kafka; what cannot be delivered at once waits on disk, bounded, and is delivered first later."""

    def __init__(self, kafka: KafkaSink, spool: EventSpool) -> None:
        self._kafka = kafka
        self._spool = spool
        self._next_attempt_at = 0.0

    async def write(self, batch: Sequence[OutgoingEvent]) -> Rejections:
        """Publish the batch, or write it to disk; what finds no room there is refused."""
        messages = [to_message(out) for out in batch]
        refused: dict[int, str] = {}
        missing: Sequence[int] = range(len(batch))
        try:
            if not await self.retry():
                missing = await self._attempt(messages, missing, refused)
        finally:
            # Also if this is cancelled, as at the end of the process.
            if missing:
                refused |= self._append(messages, missing)
        return refused

    async def retry(self) -> bool:
        """Deliver what waits on disk, if it is time to; return whether something still waits."""
        try:
            while not self._spool.is_empty:
                if time.monotonic() < self._next_attempt_at:
                    return True
                messages = self._spool.read()
                if await self._attempt(messages, range(len(messages)), {}):
                    return True
                self._spool.remove()
        except OSError as error:
            log.warning("the spool cannot be read, what waits there is left for later: %r", error)
        return False

    async def stop(self) -> None:
        """Disconnect from Kafka, and leave what waits to the next process."""
        self._spool.close()
        await self._kafka.stop()

    async def _attempt(
        self, messages: Sequence[BusMessage], places: Sequence[int], refused: dict[int, str]
    ) -> Sequence[int]:
        try:
            async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                missing = await self._kafka.attempt(messages, places, refused)
        except TimeoutError:
            missing = places
            await self._kafka.give_up()
        if missing:
            self._next_attempt_at = time.monotonic() + self._kafka.next_backoff_s()
        return missing

    def _append(self, messages: Sequence[BusMessage], places: Sequence[int]) -> dict[int, str]:
        try:
            kept = self._spool.append([messages[place] for place in places])
        except OSError as error:
            return dict.fromkeys(places, repr(error))
        return dict.fromkeys(places[kept:], "Kafka is unavailable and the spool is full")
