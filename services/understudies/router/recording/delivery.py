"""From messages to the bus, or to disk while it is away."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast

from understudies.router.recording.backlog import Backlog
from understudies.router.recording.counts import Counts, Loss
from understudies.router.recording.outlet import Outlet
from understudies.runtime import Message, NotTaken, Refused, Reject, Seldom

_log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What the bus has not taken, and why; nothing is left where it took all that it ever will."""

    left: Sequence[Message]
    error: Exception | None = None


class Delivery:
    """Hands over messages in order; once some are on disk, all newer ones go there too until they are delivered.

    The bus counts as away where it fails, has not answered within `patience_s`, or when told to `hurry`.
    """

    def __init__(
        self,
        outlet: Outlet,
        counts: Counts,
        backlog: Backlog | None,
        *,
        batch: int,
        patience_s: float,
        retry_s: tuple[float, float],
    ) -> None:
        self._outlet = outlet
        self._counts = counts
        self._backlog = backlog
        self._batch = batch
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._pause_s = retry_s[0]
        self.hand: list[Message] = []
        """What is neither delivered nor on disk, oldest first."""
        self._written: list[Message] = []
        self._drain: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[Outcome] | None = None
        self._hurry: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()
        self._complain = Seldom()
        self._complain_of_disk = Seldom()
        self._complain_of_loss = Seldom()
        self.away = False
        """Whether the bus failed the last time, or has not answered in time."""

    @property
    def is_behind(self) -> bool:
        """Whether older messages wait on disk."""
        return self._drain is not None

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    async def open(self) -> None:
        """Begin to deliver what another run left on disk."""
        if self._backlog is not None:
            try:
                await self._backlog.open()
            except OSError as error:
                self._disk_fails(error)
            if not self._backlog.empty:
                self._fall_behind()

    async def pass_on(self) -> None:
        """Empty the hand: to the bus, or to disk. When closing it returns early."""
        while self.hand and not self._closing.is_set():
            if not self.is_behind:
                await self._try_bus()
            if self.hand and await self.spool():
                self._fall_behind()
            elif self.hand and self._flight is None:
                await self._wait(self._pause_s)

    async def flush(self) -> None:
        """Empty the hand to the bus; raises what it fails with, and keeps what it has not taken."""
        outcome = await self.attempt(tuple(self.hand))
        self.hand[:] = outcome.left
        if outcome.error is not None:
            raise outcome.error

    async def attempt(self, messages: Sequence[Message]) -> Outcome:
        """Publish messages; those that can never be are lost, and said so."""
        try:
            await self._outlet.publish_encoded(messages)
        except Refused as error:
            for place in error.refused:
                self._lose(messages[place], error)
            self._counts.published += len(messages) - len(error.refused)
        except NotTaken as error:
            self._counts.published += len(messages) - len(error.missing)
            return Outcome([messages[place] for place in error.missing], error)
        except (Reject, ValueError) as error:
            if len(messages) > 1:
                return await self._singly(messages)
            self._lose(messages[0], error)
        except Exception as error:  # noqa: BLE001 - whatever befalls the bus, the events wait for it
            return Outcome(messages, error)
        else:
            self._counts.published += len(messages)
        return Outcome(())

    async def spool(self) -> bool:
        """Move the hand to disk; what finds no room there is lost. False where the disk does not play along."""
        if self._backlog is None:
            return False
        try:
            taken = await self._backlog.append(self.hand)
        except OSError as error:
            self._disk_fails(error)
            return False
        self._counts.spooled += taken
        self.lose("spool_full", len(self.hand) - taken)
        self._written, self.hand = self.hand[:taken], []
        return True

    def hurry(self) -> None:
        """Wait for the bus no longer: memory runs full."""
        if self._hurry is not None and not self._hurry.done():
            self._hurry.set_result(None)

    def lose(self, reason: Loss, count: int = 1) -> None:
        """Count what is lost, and say so once a minute."""
        if count:
            self._counts.lost[reason] += count
            if self._complain_of_loss():
                _log.error("%d events are lost so far, by reason %s", self._counts.dropped, dict(self._counts.lost))

    async def finish(self, timeout_s: float) -> None:
        """Deliver what is on disk for as long as the bus takes it, within a time-out; then begin no more."""
        if self._drain is not None and not self.away and timeout_s > 0:
            await asyncio.wait({self._drain}, timeout=timeout_s)
        self._closing.set()
        self.hurry()

    async def end(self) -> None:
        """Wait for the bus no longer; what it has not answered about may come twice."""
        flight, self._flight = self._flight, None
        if flight is not None and flight.done():
            self.hand[:] = flight.result().left
        tasks: list[asyncio.Task[Any]] = [task for task in (self._drain, flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drain = None

    async def _try_bus(self) -> None:
        """Leave in the hand what the bus has not taken; where it has not answered, the whole hand is in flight."""
        loop = asyncio.get_running_loop()
        if self._flight is None:
            self._flight = loop.create_task(self.attempt(tuple(self.hand)))
        self._hurry = loop.create_future()
        both: set[asyncio.Future[Any]] = {self._flight, self._hurry}
        await asyncio.wait(both, timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED)
        if self._flight.done():
            outcome, self._flight = self._flight.result(), None
            self.hand[:] = outcome.left
            self._note(outcome.error)
        elif not self._hurry.done():
            self._note(TimeoutError(f"no answer in {self._patience_s:g} s"))

    def _fall_behind(self) -> None:
        """From now on, deliver from disk; what is in flight was written there as well, and may arrive yet."""
        if self._drain is None:
            flight, self._flight = self._flight, None
            written, self._written = self._written, []
            self._drain = asyncio.get_running_loop().create_task(self._catch_up(flight, written))

    async def _catch_up(self, flight: asyncio.Task[Outcome] | None, written: Sequence[Message]) -> None:
        arrived: set[bytes] = set()
        if flight is not None:
            outcome = await flight
            self._note(outcome.error)
            arrived = {message.value for message in written} - {message.value for message in outcome.left}
        going_on = True
        while going_on and not self._closing.is_set():
            try:
                going_on = await self._next_from_disk(arrived)
            except Exception as error:  # noqa: BLE001 - what waits on disk must not wait for a restart
                self._disk_fails(error)
                await self._wait(self._pause_s)
        # Nothing was awaited since the disk was seen to be empty: what is written from now on begins this anew.
        self._drain = None

    async def _next_from_disk(self, arrived: Collection[bytes]) -> bool:
        """Deliver the oldest messages on disk, for as long as it takes; False where none is left."""
        backlog = cast("Backlog", self._backlog)
        messages, spoilt = await backlog.head(self._batch)
        self.lose("spoilt", spoilt)
        left: Sequence[Message] = [message for message in messages if message.value not in arrived]
        while left and not self._closing.is_set():
            left, error = await self.attempt(left)
            self._note(error)
            if error is not None:
                await self._wait(self._pause_s)
        if messages and not left:
            await backlog.acknowledge()
        return not backlog.empty

    async def _singly(self, messages: Sequence[Message]) -> Outcome:
        """One of these messages can never be delivered: find it and go on without it."""
        for place, message in enumerate(messages):
            outcome = await self.attempt([message])
            if outcome.error is not None:
                return Outcome(messages[place:], outcome.error)
        return Outcome(())

    def _lose(self, message: Message, error: Exception) -> None:
        self._counts.lost["refused"] += 1
        headers = dict(message.headers)
        event, task = headers.get("ce_id", b""), message.key or b""
        _log.error("event %s of task %r is lost: %s", event.decode(), task.decode("utf-8", "replace"), error)

    def _note(self, error: Exception | None) -> None:
        """Remember, and say, whether the bus is there."""
        first, longest = self._retry_s
        if error is None:
            if self.away:
                _log.info("the bus is back")
            self.away, self._pause_s = False, first
            return
        self._pause_s = min(self._pause_s * 2, longest) if self.away else first
        self.away = True
        if self._complain():
            where = "in memory" if self._backlog is None else "on disk"
            _log.warning("the bus is away, events wait %s: %r", where, error)

    def _disk_fails(self, error: Exception) -> None:
        if self._complain_of_disk():
            _log.error("the spool cannot be used, events wait in memory: %r", error)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until closing."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
