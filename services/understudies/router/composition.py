"""The router, put together from its settings and rules."""

import logging
import os
import random
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

from understudies.client.redaction import Redactor, default_redactor
from understudies.events import Event, NewId, Usage, new_id
from understudies.router.account import Note
from understudies.router.answers import Answers
from understudies.router.app import Reading, RouterApp
from understudies.router.call import Call, Teacher
from understudies.router.chooser import Chooser
from understudies.router.desk import Desk
from understudies.router.exchange import Exchange
from understudies.router.front import Front
from understudies.router.gate import Gate
from understudies.router.metrics import Metrics
from understudies.router.models import Models
from understudies.router.money import Budgets, Cache, Limits
from understudies.router.packing import packed, unpacked
from understudies.router.pages import Pages
from understudies.router.payment import Payments
from understudies.router.pins import Pins
from understudies.router.policy import Policy
from understudies.router.recording import Backlog, Brief, Outlet, Recorder, Recording, Scribe
from understudies.router.relaying import Relaying
from understudies.router.roster import Loader, Roster
from understudies.router.server import Server
from understudies.router.settings import RouterSettings
from understudies.router.upstream.catalogue import Catalogue, UnknownModel
from understudies.router.upstream.pricing import Prices
from understudies.router.upstream.teachers import Teachers
from understudies.router.wallet import Wallet
from understudies.runtime import BusSettings, Clock, ConfigurationError, Seldom, SystemClock
from understudies.runtime.online import MemoryOnline, Online
from understudies.runtime.reload import Derived, RulesSource
from understudies.runtime.rules import Rules
from understudies.runtime.teachers import TeacherSpec, Timeouts, with_keys
from understudies.students.files import Files
from understudies.students.shelf import Shelf

_log = logging.getLogger(__name__)

_APART: Final = (sys.executable, "-m", "understudies.router.apart")
_LEASE_S: Final = 2000.0
_AFTER_S: Final = 100.0


class Bus(Reading, Protocol):
    """The part of the bus that the router uses; a recorder takes a faster way where it has one."""

    async def publish(self, *events: Event) -> None: ...


def create_app(
    settings: RouterSettings,
    *,
    bus: Bus,
    clock: Clock | None = None,
    files: Files,
    new_id: NewId = new_id,
    teacher: Teacher | None = None,
    load: Loader | None = None,
    draw: Callable[[], float] | None = None,
    redact: Redactor | None = default_redactor,
    rules: Rules | RulesSource | None = None,
    online: Online | None = None,
    spool: Path | None = None,
    apart: BusSettings | None = None,
) -> RouterApp:
    """The router.

    Without a teacher it asks those of the rules, else the one that the settings name, by HTTP. `spool` is a folder for
    events while the bus is away; without it they wait in memory alone. With `apart`, which says where the bus is, a
    process of its own records.
    """
    clock = clock or SystemClock()
    source = rules if isinstance(rules, RulesSource) else RulesSource(rules)
    recorder, record = _recording(settings, source, bus, redact, spool, apart)
    by_http = teacher is None or settings.port is not None
    catalogue = source.derived(lambda told: Catalogue(_specs(settings, told))) if by_http else None
    teachers = None if catalogue is None else _teachers(catalogue, source, clock)
    payments = _payments(settings, source, online, catalogue)
    cache = Cache(online or MemoryOnline())
    answers = Answers(cache)
    shelf = Shelf(files)
    roster = Roster(load or shelf.get)

    asked = teacher or teachers
    assert asked is not None
    desk = Desk(
        teacher=asked,
        roster=roster,
        record=record,
        policy=Policy(
            settings.critical_tasks,
            settings.student_timeout_s,
            settings.student_price_usd,
            settings.self_agreement_rate,
            settings.audits_at_once,
            settings.probation_calls,
        ),
        rules=source,
        redact=redact,
        # The memory of one process bounds its pins by time alone; those kept here are bounded by number too.
        chooser=Chooser(roster, pins=Pins(None if isinstance(online, MemoryOnline) else online)),
        payments=payments,
        answers=answers,
    )
    app = RouterApp(
        desk,
        recorder,
        bus=bus,
        clock=clock,
        address=f"{settings.host}:{settings.port}",
        online=online,
        lame_duck_s=settings.lame_duck_s,
        closing=[payments.close, shelf.close, *([teachers.close] if teachers else [])],
    )
    if settings.port is not None and teachers is not None:
        metrics = Metrics(known_task=lambda task: task in source.current().tasks or desk.table.knows(task))
        metrics.watch_recorder(recorder)
        metrics.watch_audits(lambda: desk.audits_in_flight, lambda: desk.audits_given_up)
        metrics.watch_cache(cache)
        metrics.watch_upstreams(lambda: teachers.upstreams)
        if online is not None:
            metrics.watch_online(lambda: online.away)
        gate = Gate(source, settings)
        relaying = Relaying(teachers, gate)
        exchange = Exchange(
            desk,
            gate=gate,
            relaying=relaying,
            clock=clock,
            new_id=new_id,
            draw=draw or random.Random().random,
            metrics=metrics,
        )
        models = Models(teachers, gate, lambda: desk.table.tasks)
        front = Front(exchange, Pages(Standing(app, source, metrics)), models, relaying)
        app.server = Server(
            front, settings.host, settings.port, grace_s=settings.drain_s, reuse_port=settings.reuse_port
        )
    return app


class Standing:
    """What the pages say of the router."""

    def __init__(self, app: RouterApp, rules: RulesSource, metrics: Metrics) -> None:
        self._app = app
        self._rules = rules
        self._metrics = metrics

    @property
    def ready(self) -> bool:
        """Whether calls are taken."""
        return self._app.ready

    def facts(self) -> Mapping[str, Any]:
        """What an operator wants to know."""
        recorder = self._app.recorder
        return {
            "events_waiting": len(recorder),
            "events_lost": recorder.dropped,
            "bus_away": recorder.away,
            "promotions_read": not self._app.behind,
            "rules_refused": self._rules.last_error,
            "tasks_served": self._app.desk.table.tasks,
            "students_left_alone": self._app.desk.circuits.open(),
        }

    def exposition(self) -> bytes:
        """The metrics, in the text format of Prometheus."""
        return self._metrics.exposition()


def _recording(
    settings: RouterSettings,
    rules: RulesSource,
    bus: Bus,
    redact: Redactor | None,
    spool: Path | None,
    apart: BusSettings | None,
) -> tuple[Recording, Callable[[Note], None]]:
    """What records, in this process or apart, and how it is given a note."""
    spool_bytes = _spool_bytes(settings, rules)
    outlet = bus if isinstance(bus, Outlet) else bus.publish

    def here() -> Recorder:
        backlog = Backlog(spool, limit_bytes=spool_bytes) if spool is not None else None
        return Recorder(outlet, capacity=settings.buffer_events, auto=settings.auto_deliver, backlog=backlog)

    if apart is None:
        recorder = here()
        return recorder, lambda note: recorder.record(note.invocation, note.size)
    if redact not in (None, default_redactor):
        raise ValueError("a redactor of one's own cannot be taken into another process; record in this one")
    brief = Brief(apart, settings.buffer_events, spool, spool_bytes, redact=redact is not None)
    scribe = Scribe(brief, _APART, unpack=lambda data: unpacked(data, redact).invocation(), instead=here)
    complain = Seldom()

    def record(note: Note) -> None:
        try:
            scribe.record(packed(note))
        except Exception as error:  # noqa: BLE001 - whatever befalls the record, the call goes on
            scribe.cannot_record()
            if complain():
                _log.error("a call could not be recorded: %s", type(error).__name__)

    return scribe, record


def _spool_bytes(settings: RouterSettings, rules: RulesSource) -> int:
    told = rules.current().router.spool_max_bytes
    return settings.spool_bytes if told is None else told


def _teachers(catalogue: Derived[Catalogue], rules: RulesSource, clock: Clock) -> Teachers:
    """The teachers of the rules, and of the rules to come."""
    teachers = Teachers(catalogue.value, clock=clock, chosen=lambda call: rules.of(call.task).teacher)
    rules.subscribe(lambda _: teachers.use(catalogue.value))
    return teachers


def _payments(
    settings: RouterSettings, rules: RulesSource, online: Online | None, catalogue: Derived[Catalogue] | None
) -> Payments:
    """The budgets of the rules, and of the rules to come."""
    if catalogue is None:
        return Payments()
    prices = Prices()

    def likely(call: Call, usage: Usage) -> Decimal:
        try:
            price = catalogue.value.chain(call.model, call.api, rules.of(call.task).teacher)[0].spec.price
        except UnknownModel:
            price = None
        return prices.cost(call.model, usage, price, call.at)

    def lease_s(told: Rules) -> float:
        # What is held for a call must outlast it.
        return max(_LEASE_S, (told.router.request_timeout_s or settings.request_timeout_s) + _AFTER_S)

    limits = rules.derived(Limits.of)
    budgets = Budgets(online or MemoryOnline(), limits.value, lease_s=lease_s(rules.current()))
    wallet = Wallet(budgets, likely)
    rules.subscribe(lambda told: wallet.use(limits.value, lease_s=lease_s(told)))
    return wallet


def _specs(settings: RouterSettings, rules: Rules) -> Mapping[str, TeacherSpec]:
    if rules.teachers:
        return with_keys(rules.teachers, os.environ)
    if settings.teacher_url is None:
        raise ConfigurationError(
            "the router needs a teacher: set UNDERSTUDIES_ROUTER_TEACHER_URL, or name some in the rules, "
            "[teachers.NAME]"
        )
    spec = TeacherSpec(
        name="teacher",
        base_url=settings.teacher_url,
        api_key=settings.teacher_api_key,
        price_usd=settings.teacher_price_usd,
        timeouts=Timeouts(first_byte_s=settings.teacher_timeout_s, total_s=settings.teacher_timeout_s),
    )
    return {spec.name: spec}
