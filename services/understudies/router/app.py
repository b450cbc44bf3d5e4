"""The router service."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from understudies.events import DRIFT, PROMOTIONS, Event, Topic
from understudies.router.http1.server import HttpServer
from understudies.router.recording.base import EventRecorder
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.call_service import CallService
from understudies.runtime.bus.messages import Record
from understudies.runtime.clock import Clock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import OnlineState, OnlineUnavailable

_log = logging.getLogger(__name__)

_PRELOAD_TIMEOUT_S = 30.0
"""After which calls are taken all the same: the teacher answers them while a student is being loaded."""

CloseCallback = Callable[[], Awaitable[None]]


class EventReader(Protocol):
    """The part of the bus that reads."""

    async def decode_events(self, records: Sequence[Record]) -> list[Event]: ...


class RouterApp:
    """Routes calls by what it has read of promotions and drift."""

    name = "router"
    topics: Sequence[Topic] = (PROMOTIONS, DRIFT)
    replays: Sequence[Topic] = topics
    max_records = 2000

    def __init__(
        self,
        call_service: CallService,
        recorder: EventRecorder,
        *,
        bus: EventReader,
        clock: Clock,
        online: OnlineState | None = None,
        address: str = "",
        on_stop: Sequence[CloseCallback] = (),
        lame_duck_s: float = 0.0,
    ) -> None:
        self.call_service = call_service
        self.recorder = recorder
        self.server: HttpServer | None = None
        """The HTTP server, where there is one; to be set before the start."""
        self.ready = False
        """Whether calls are taken."""
        self._table = call_service.table
        self._behind = False
        self._bus = bus
        self._clock = clock
        self._online = online
        self._address = address
        self._on_stop = on_stop
        self._lame_duck_s = lame_duck_s
        self._serving: HttpServer | None = None

    @property
    def url(self) -> str:
        """Base URL of the HTTP server; raises RuntimeError where there is none."""
        if self.server is None:
            raise RuntimeError("the router has no port; set UNDERSTUDIES_ROUTER_PORT")
        return self.server.url

    async def start(self) -> None:
        """Begin to deliver events and to take calls, once the students in force before the start are loaded."""
        if self._online is not None:
            try:
                await self._online.check()
            except OnlineUnavailable as error:
                _log.warning("online state is away, and asked again: %s", error)
        await self.recorder.start()
        await asyncio.wait(
            [asyncio.ensure_future(self.call_service.student_registry.wait_idle())], timeout=_PRELOAD_TIMEOUT_S
        )
        if self.server is not None:
            try:
                await self.server.start()
            except OSError as error:
                raise ConfigurationError(
                    f"cannot listen on {self._address}: {error.strerror}; choose another port or address, "
                    "or stop what has it"
                ) from error
            self._serving = self.server
        self.ready = True

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold promotions and drift into the routing table."""
        table = self._table
        for event in await self._bus.decode_events(records):
            table = table.apply(event)
        self._apply_table(table)

    def mark_stale(self) -> None:
        """Have the teacher answer alone: what is known to be in force may have been demoted long since."""
        self._behind = True
        self.call_service.table = RoutingTable()

    def mark_caught_up(self) -> None:
        """Route by what was read from now on."""
        self._behind = False
        self.call_service.table = self._table

    @property
    def behind(self) -> bool:
        """Whether it is not known yet what is in force, so that the teacher answers everything."""
        return self._behind

    async def tick(self, now: datetime) -> None:
        """Nothing here waits for a span of time: what holds for a while is read off the clock at each call."""

    async def drain(self) -> None:
        """Finish the calls that have begun; what is in force is followed meanwhile.

        For a while before that it is not ready, and takes calls all the same, until whoever sends them has noticed.
        """
        self.ready = False
        server, self._serving = self._serving, None
        if server is not None:
            await asyncio.sleep(self._lame_duck_s)
            await server.stop()

    async def stop(self) -> None:
        """Leave, deliver the events of its calls, give their audits a moment, and end."""
        await self.drain()
        await self.recorder.deliver()
        await self.call_service.close()
        await self.recorder.stop()
        for close in self._on_stop:
            await close()
        if self._online is not None:
            await self._online.close()

    def state(self) -> dict[str, Any]:
        """The routing table in the types of JSON."""
        return {"table": self._table.state()}

    async def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._apply_table(RoutingTable.from_state(state["table"]))

    def _apply_table(self, table: RoutingTable) -> None:
        self._table = table
        if not self._behind:
            self.call_service.table = table
        self.call_service.student_registry.retain(table.artifacts)
        for uri in sorted(table.artifacts):
            self.call_service.student_registry.preload(uri, self._clock.now())
