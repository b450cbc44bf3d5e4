"""The router, put together from its settings and rules."""

import logging
import os
import random
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

from understudies.datasets.object_store import ObjectStore
from understudies.events import Event, NewId, Usage, new_id
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor
from understudies.router.app import EventReader, RouterApp
from understudies.router.budgets.call_budget import CallBudget, EnforcedBudget, NoBudget
from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import BudgetLimits
from understudies.router.call import Call, Teacher
from understudies.router.endpoints.admin import AdminEndpoints
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.dispatch import Dispatcher
from understudies.router.endpoints.inference import InferenceEndpoint
from understudies.router.endpoints.model_list import ModelListEndpoint
from understudies.router.endpoints.passthrough import PassthroughEndpoint
from understudies.router.http1.server import HttpServer
from understudies.router.metrics import RouterMetrics
from understudies.router.recording.base import EventRecorder, EventSink
from understudies.router.recording.invocation import PendingInvocation
from understudies.router.recording.process.client import ProcessRecorder
from understudies.router.recording.process.ipc import WorkerConfig
from understudies.router.recording.process.serialization import deserialize, serialize
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.router.serving.call_service import CallService
from understudies.router.serving.episode_affinity import EpisodeAffinity
from understudies.router.serving.response_cache import CacheStore, ResponseCache
from understudies.router.serving.route_selector import RouteSelector
from understudies.router.serving.student_registry import StudentLoader, StudentRegistry
from understudies.router.settings import RouterSettings, ServingLimits
from understudies.router.upstream.catalogue import TeacherCatalogue, UnknownModel
from understudies.router.upstream.metering import PriceCache
from understudies.router.upstream.teachers import TeacherPool
from understudies.runtime.clock import Clock, SystemClock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import OnlineState
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import DerivedFromRules, RulesSource
from understudies.runtime.rules.teacher import TeacherSpec, TimeoutSettings, load_api_keys
from understudies.runtime.settings import BusSettings
from understudies.runtime.throttle import Throttle
from understudies.students.student_cache import StudentCache

_log = logging.getLogger(__name__)

_WORKER_COMMAND: Final = (sys.executable, "-m", "understudies.router.recording.process.worker")
_MIN_LEASE_S: Final = 2000.0
_LEASE_MARGIN_S: Final = 100.0


class RouterBus(EventReader, Protocol):
    """The part of the bus that the router uses; a recorder takes a faster way where it has one."""

    async def publish(self, *events: Event) -> None: ...


def create_app(
    settings: RouterSettings,
    *,
    bus: RouterBus,
    clock: Clock | None = None,
    files: ObjectStore,
    new_id: NewId = new_id,
    teacher: Teacher | None = None,
    load: StudentLoader | None = None,
    sample: Callable[[], float] | None = None,
    redact: Redactor | None = default_redactor,
    rules: Rules | RulesSource | None = None,
    online: OnlineState | None = None,
    spool: Path | None = None,
    recorder_process: BusSettings | None = None,
) -> RouterApp:
    """The router.

    Without a teacher it asks those of the rules, else the one that the settings name, by HTTP. `spool` is a folder for
    events while the bus is away; without it they wait in memory alone. With `recorder_process`, which says where the
    bus is, a process of its own records.
    """
    clock = clock or SystemClock()
    source = rules if isinstance(rules, RulesSource) else RulesSource(rules)
    recorder, record = _build_recorder(settings, source, bus, redact, spool, recorder_process)
    by_http = teacher is None or settings.port is not None
    catalogue = source.derive(lambda told: TeacherCatalogue(_teacher_specs(settings, told))) if by_http else None
    teachers = None if catalogue is None else _build_teachers(catalogue, source, clock)
    payments = _build_budget(settings, source, online, catalogue)
    cache = CacheStore(online or MemoryOnlineState())
    answers = ResponseCache(cache)
    shelf = StudentCache(files)
    roster = StudentRegistry(load or shelf.get)

    asked = teacher or teachers
    assert asked is not None
    desk = CallService(
        teacher=asked,
        student_registry=roster,
        record=record,
        limits=ServingLimits(
            settings.critical_tasks,
            settings.student_timeout_s,
            settings.student_price_usd,
            settings.self_agreement_rate,
            settings.audits_at_once,
            settings.probation_calls,
        ),
        rules=source,
        redact=redact,
        # The memory of one process bounds its affinity by time alone; those kept here are bounded by number too.
        route_selector=RouteSelector(
            roster, affinity=EpisodeAffinity(None if isinstance(online, MemoryOnlineState) else online)
        ),
        budget=payments,
        response_cache=answers,
    )
    app = RouterApp(
        desk,
        recorder,
        bus=bus,
        clock=clock,
        address=f"{settings.host}:{settings.port}",
        online=online,
        lame_duck_s=settings.lame_duck_s,
        on_stop=[payments.close, shelf.close, *([teachers.close] if teachers else [])],
    )
    if settings.port is not None and teachers is not None:
        metrics = RouterMetrics(known_task=lambda task: task in source.current().tasks or desk.table.has_task(task))
        metrics.observe_recorder(recorder)
        metrics.observe_audits(lambda: desk.audits_in_flight, lambda: desk.audits_dropped)
        metrics.observe_cache(cache)
        metrics.observe_upstreams(lambda: teachers.upstreams)
        if online is not None:
            metrics.observe_online(lambda: online.is_unavailable)
        gate = Admission(source, settings)
        relaying = PassthroughEndpoint(teachers, gate)
        exchange = InferenceEndpoint(
            desk,
            admission=gate,
            passthrough=relaying,
            clock=clock,
            new_id=new_id,
            sample=sample or random.Random().random,
            metrics=metrics,
        )
        models = ModelListEndpoint(teachers, gate, lambda: desk.table.tasks)
        front = Dispatcher(exchange, AdminEndpoints(RouterStatus(app, source, metrics)), models, relaying)
        app.server = HttpServer(
            front, settings.host, settings.port, grace_s=settings.drain_s, reuse_port=settings.reuse_port
        )
    return app


class RouterStatus:
    """What the pages say of the router."""

    def __init__(self, app: RouterApp, rules: RulesSource, metrics: RouterMetrics) -> None:
        self._app = app
        self._rules = rules
        self._metrics = metrics

    @property
    def ready(self) -> bool:
        """Whether calls are taken."""
        return self._app.ready

    def details(self) -> Mapping[str, Any]:
        """What an operator wants to know."""
        recorder = self._app.recorder
        return {
            "events_waiting": len(recorder),
            "events_lost": recorder.dropped,
            "bus_away": recorder.bus_unavailable,
            "promotions_read": not self._app.behind,
            "rules_refused": self._rules.last_error,
            "tasks_served": self._app.call_service.table.tasks,
            "students_left_alone": self._app.call_service.circuit_breakers.open_students(),
        }

    def exposition(self) -> bytes:
        """The metrics, in the text format of Prometheus."""
        return self._metrics.exposition()


def _build_recorder(
    settings: RouterSettings,
    rules: RulesSource,
    bus: RouterBus,
    redact: Redactor | None,
    spool: Path | None,
    recorder_process: BusSettings | None,
) -> tuple[EventRecorder, Callable[[PendingInvocation], None]]:
    """What records, in this process or in its own, and how it is given a pending invocation."""
    spool_bytes = _spool_bytes(settings, rules)
    outlet = bus if isinstance(bus, EventSink) else bus.publish

    def here() -> InProcessRecorder:
        backlog = AsyncSpool(spool, limit_bytes=spool_bytes) if spool is not None else None
        return InProcessRecorder(outlet, capacity=settings.buffer_events, auto=settings.auto_deliver, spool=backlog)

    if recorder_process is None:
        recorder = here()
        return recorder, lambda note: recorder.record(note.invocation, note.size)
    if redact not in (None, default_redactor):
        raise ValueError("a redactor of one's own cannot be taken into another process; record in this one")
    brief = WorkerConfig(recorder_process, settings.buffer_events, spool, spool_bytes, redact=redact is not None)
    scribe = ProcessRecorder(
        brief, _WORKER_COMMAND, deserialize=lambda data: deserialize(data, redact).invocation(), make_fallback=here
    )
    complain = Throttle()

    def record(note: PendingInvocation) -> None:
        try:
            scribe.record(serialize(note))
        except Exception as error:  # noqa: BLE001 - whatever befalls the record, the call goes on
            scribe.count_unrecordable()
            if complain():
                _log.error("a call could not be recorded: %s", type(error).__name__)

    return scribe, record


def _spool_bytes(settings: RouterSettings, rules: RulesSource) -> int:
    told = rules.current().router.spool_max_bytes
    return settings.spool_bytes if told is None else told


def _build_teachers(catalogue: DerivedFromRules[TeacherCatalogue], rules: RulesSource, clock: Clock) -> TeacherPool:
    """The teachers of the rules, and of the rules to come."""
    teachers = TeacherPool(catalogue.value, clock=clock, choose_teacher=lambda call: rules.for_task(call.task).teacher)
    rules.subscribe(lambda _: teachers.update_catalogue(catalogue.value))
    return teachers


def _build_budget(
    settings: RouterSettings,
    rules: RulesSource,
    online: OnlineState | None,
    catalogue: DerivedFromRules[TeacherCatalogue] | None,
) -> CallBudget:
    """The budgets of the rules, and of the rules to come."""
    if catalogue is None:
        return NoBudget()
    prices = PriceCache()

    def likely(call: Call, usage: Usage) -> Decimal:
        try:
            price = catalogue.value.chain(call.model, call.api, rules.for_task(call.task).teacher)[0].spec.price
        except UnknownModel:
            price = None
        return prices.cost(call.model, usage, price, call.at)

    def lease_s(told: Rules) -> float:
        # What is held for a call must outlast it.
        return max(_MIN_LEASE_S, (told.router.request_timeout_s or settings.request_timeout_s) + _LEASE_MARGIN_S)

    limits = rules.derive(BudgetLimits.from_rules)
    budgets = BudgetLimiter(online or MemoryOnlineState(), limits.value, lease_s=lease_s(rules.current()))
    wallet = EnforcedBudget(budgets, likely)
    rules.subscribe(lambda told: wallet.update_limits(limits.value, lease_s=lease_s(told)))
    return wallet


def _teacher_specs(settings: RouterSettings, rules: Rules) -> Mapping[str, TeacherSpec]:
    if rules.teachers:
        return load_api_keys(rules.teachers, os.environ)
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
        timeouts=TimeoutSettings(first_byte_s=settings.teacher_timeout_s, total_s=settings.teacher_timeout_s),
    )
    return {spec.name: spec}
