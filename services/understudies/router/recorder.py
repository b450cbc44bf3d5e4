"""The recorder: takes events from the hot path at once and delivers them when it can."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from understudies.events import Invocation
from understudies.runtime import Reject, Seldom

Deliver = Callable[..., Awaitable[None]]
"""Publishes the events given; raises where they were not all taken."""

_log = logging.getLogger(__name__)


class Recorder:
    """A bounded buffer before the bus; once it is full, new events are dropped and counted."""

    def __init__(
        self,
        deliver: Deliver,
        *,
        capacity: int = 10_000,
        batch: int = 500,
        auto: bool = True,
        retry_s: tuple[float, float] = (0.1, 5.0),
    ) -> None:
        self._deliver = deliver
        self._capacity = capacity
        self._batch = batch
        self._auto = auto
        self._retry_s = retry_s
        self._waiting: deque[Invocation] = deque()
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._complain = Seldom()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def record(self, invocation: Invocation) -> None:
        """Take an event; never waits."""
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
            if self._complain():
                _log.warning("%d events are lost so far: %d wait for the bus already", self.dropped, self._capacity)
            return
        self._waiting.append(invocation)
        self._news.set()

    async def start(self) -> None:
        """Begin to deliver in the background, unless delivery is by `flush` alone."""
        if self._auto and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def flush(self) -> None:
        """Deliver everything that waits, in order; raises what delivering raises, and keeps what was not taken."""
        async with self._turn:
            while self._waiting:
                await self._deliver_batch()

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """Deliver what waits, within a time-out; False, and a line in the log, where not all was taken."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.flush()
        except Exception as error:  # noqa: BLE001 - what is not taken waits on
            _log.error("%d events were not delivered: %r", len(self._waiting), error)
            return False
        return True

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver what waits, within a time-out, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.deliver(timeout_s)

    async def _run(self) -> None:
        first, longest = self._retry_s
        pause = first
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.flush()
                pause = first
            except Exception as error:  # noqa: BLE001 - the bus is away; the events wait for it
                _log.warning("%d events wait for the bus: %r", len(self._waiting), error)
                self._news.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)

    async def _deliver_batch(self) -> None:
        events = [self._waiting[index] for index in range(min(self._batch, len(self._waiting)))]
        try:
            await self._deliver(*events)
        except (Reject, ValueError):
            await self._deliver_singly(events)
        else:
            self._done(len(events))

    async def _deliver_singly(self, events: Sequence[Invocation]) -> None:
        """One of these events can never be delivered: find it and go on without it."""
        for event in events:
            try:
                await self._deliver(event)
            except (Reject, ValueError) as error:
                self.dropped += 1
                _log.error("event %s of task %r is lost: %s", event.id, event.task, error)
            self._done(1)

    def _done(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
