"""The router service, put together."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from starlette.applications import Starlette

from understudies.client.redaction import Redactor, default_redactor
from understudies.events import DRIFT, PROMOTIONS, Event, NewId, Topic, new_id
from understudies.router.call import Teacher
from understudies.router.desk import Desk, Policy
from understudies.router.http import Front
from understudies.router.recorder import Recorder
from understudies.router.roster import Loader, Roster
from understudies.router.server import Server
from understudies.router.settings import RouterSettings
from understudies.router.table import RoutingTable
from understudies.router.teacher_http import HttpTeacher
from understudies.runtime import Clock, ConfigurationError, Record, SystemClock
from understudies.students.files import Files
from understudies.students.shelf import Shelf

_LOADING_S = 30.0
"""After which calls are taken all the same: the teacher answers them while a student is being loaded."""


class Events(Protocol):
    """The part of the bus that the router uses."""

    async def events(self, records: Sequence[Record]) -> list[Event]: ...
    async def publish(self, *events: Event) -> None: ...


class RouterApp:
    """Routes calls by what it has read of promotions and drift."""

    name = "router"
    topics: Sequence[Topic] = (PROMOTIONS, DRIFT)
    replays: Sequence[Topic] = topics
    max_records = 2000

    def __init__(
        self,
        settings: RouterSettings,
        *,
        bus: Events,
        clock: Clock,
        teacher: Teacher,
        load: Loader,
        new_id: NewId,
        draw: Callable[[], float],
        redact: Redactor | None,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._teacher = teacher
        self._started = False
        self._address = f"{settings.host}:{settings.port}"
        self.recorder = Recorder(bus.publish, capacity=settings.buffer_events, auto=settings.auto_deliver)
        self.desk = Desk(
            teacher=teacher,
            roster=Roster(load),
            record=self.recorder.record,
            policy=Policy(
                settings.critical_tasks,
                settings.student_timeout_s,
                settings.student_price_usd,
                settings.self_agreement_rate,
            ),
            redact=redact,
        )
        front = Front(self.desk, settings, clock=clock, new_id=new_id, draw=draw, ready=lambda: self._started)
        self.asgi: Starlette = front.asgi()
        self._server = Server(self.asgi, settings.host, settings.port) if settings.port is not None else None

    @property
    def url(self) -> str:
        """Base URL of the HTTP server; raises RuntimeError where there is none."""
        if self._server is None:
            raise RuntimeError("the router has no port; set UNDERSTUDIES_ROUTER_PORT")
        return self._server.url

    async def start(self) -> None:
        """Begin to deliver events and to take calls, once the students in force before the start are loaded."""
        await self.recorder.start()
        await asyncio.wait([asyncio.ensure_future(self.desk.roster.idle())], timeout=_LOADING_S)
        if self._server is not None:
            await self._listen(self._server)
        self._started = True

    async def _listen(self, server: Server) -> None:
        try:
            await server.start()
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {self._address}: {error.strerror}; choose another one, or stop what has it"
            ) from error

    async def handle(self, records: Sequence[Record]) -> None:
        """Fold promotions and drift into the routing table."""
        self._use(self._folded(await self._bus.events(records)))

    async def tick(self, now: datetime) -> None:
        """Nothing here waits for a span of time: what holds for a while is read off the clock at each call."""

    async def stop(self) -> None:
        """Finish the calls that have begun, deliver their events, give their audits a moment, and end."""
        self._started = False
        if self._server is not None:
            await self._server.stop()
        await self.recorder.deliver()
        await self.desk.close()
        await self.recorder.stop()
        if isinstance(self._teacher, HttpTeacher):
            await self._teacher.close()

    def state(self) -> dict[str, Any]:
        """The routing table in the types of JSON."""
        return {"table": self.desk.table.state()}

    async def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._use(RoutingTable.from_state(state["table"]))

    def _folded(self, events: Sequence[Event]) -> RoutingTable:
        table = self.desk.table
        for event in events:
            table = table.apply(event)
        return table

    def _use(self, table: RoutingTable) -> None:
        self.desk.table = table
        self.desk.roster.keep(table.artifacts)
        for uri in sorted(table.artifacts):
            self.desk.roster.warm(uri, self._clock.now())


def create_app(
    settings: RouterSettings,
    *,
    bus: Events,
    clock: Clock | None = None,
    files: Files,
    new_id: NewId = new_id,
    teacher: Teacher | None = None,
    load: Loader | None = None,
    draw: Callable[[], float] | None = None,
    redact: Redactor | None = default_redactor,
) -> RouterApp:
    """The router; without a teacher it asks the one that the settings name, by HTTP."""
    return RouterApp(
        settings,
        bus=bus,
        clock=clock or SystemClock(),
        teacher=teacher or _teacher(settings),
        load=load or Shelf(files).get,
        new_id=new_id,
        draw=draw or random.SystemRandom().random,
        redact=redact,
    )


def _teacher(settings: RouterSettings) -> HttpTeacher:
    if settings.teacher_url is None:
        raise ConfigurationError("the router needs a teacher; set UNDERSTUDIES_ROUTER_TEACHER_URL")
    return HttpTeacher(
        settings.teacher_url,
        api_key=settings.teacher_api_key,
        price_usd=settings.teacher_price_usd,
        timeout_s=settings.teacher_timeout_s,
    )
