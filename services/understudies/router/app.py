"""Run the router service: follow promotions and drift, take calls, deliver events."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from understudies.events import DRIFT, PROMOTIONS, Event
from understudies.persistence.saved_state import SavedState
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
"""Seconds to wait for students to load before calls are taken; the teacher answers until they are loaded."""

CloseCallback = Callable[[], Awaitable[None]]


class EventReader(Protocol):
    """The decoding part of the bus."""

    async def decode_events(self, records: Sequence[Record]) -> list[Event]: ...


class RouterApp(SavedState):
    """The router service; routes calls by the promotions and drift events that it has read."""

    name = "router"
    topics = (PROMOTIONS, DRIFT)
    replay_topics = topics
    max_records = 2000

    _table: RoutingTable

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
        """The HTTP server, None without a port; set it before `start`."""
        self.exposition: Callable[[], bytes] = bytes
        """Returns the router's metrics in the Prometheus text format; nothing without a port."""
        self.ready = False
        """True if the router takes calls."""
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
        """The base URL of the HTTP server; raises RuntimeError without a server."""
        if self.server is None:
            raise RuntimeError("the router has no port; set UNDERSTUDIES_ROUTER_PORT")
        return self.server.url

    async def start(self) -> None:
        """Start delivering events, load the promoted students, then take calls."""
        if self._online is not None:
            try:
                await self._online.check()
            except OnlineUnavailable as error:
                _log.warning("the online state is unavailable, retrying: %s", error)
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
                    "or stop the process that uses it"
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
        """Send every call to the teacher, because a student in the table may have been demoted since it was read."""
        self._behind = True
        self.call_service.table = RoutingTable()

    def mark_caught_up(self) -> None:
        """Route by the table again."""
        self._behind = False
        self.call_service.table = self._table

    @property
    def behind(self) -> bool:
        """Return whether the routing table is stale, so that the teacher answers every call."""
        return self._behind

    async def tick(self, now: datetime) -> None:
        """Retry students that could not be loaded; time-dependent routing reads the clock at each call."""
        self._preload_students(now)

    async def drain(self) -> None:
        """Stop taking calls and finish those in flight; keep following promotions and drift meanwhile.

        For `lame_duck_s` before that, report not ready but still take calls, so that load balancers notice in time.
        """
        self.ready = False
        server, self._serving = self._serving, None
        if server is not None:
            await asyncio.sleep(self._lame_duck_s)
            await server.stop()

    async def stop(self) -> None:
        """Drain, deliver the recorded events, wait briefly for running audits, and close."""
        await self.drain()
        await self.recorder.deliver()
        await self.call_service.close()
        await self.recorder.stop()
        for close in self._on_stop:
            await close()
        if self._online is not None:
            await self._online.close()

    async def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.restore_state(state)
        self._apply_table(self._table)

    def _apply_table(self, table: RoutingTable) -> None:
        self._table = table
        if not self._behind:
            self.call_service.table = table
        self.call_service.student_registry.retain(table.artifacts)
        self._preload_students(self._clock.now())

    def _preload_students(self, now: datetime) -> None:
        for uri in sorted(self._table.artifacts):
            self.call_service.student_registry.preload(uri, now)

    @property
    def students_not_loaded(self) -> dict[str, str]:
        """Why students in force could not be loaded, by name; the teacher answers in their place."""
        failures = self.call_service.student_registry.failures
        return {
            student: failures[artifact]
            for student, artifact in sorted(self._table.artifact_by_student.items())
            if artifact in failures
        }
