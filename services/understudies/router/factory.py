"""Compose the router from its settings and rules."""

import logging
import os
import random
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

from opentelemetry.trace import Tracer

from understudies.datasets.object_store import ObjectStore
from understudies.events import Event, NewId, Usage, new_id
from understudies.judge_backends.install import install_judge_backends
from understudies.redaction.packs import build_redactor
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor
from understudies.router.app import EventReader, RouterApp
from understudies.router.budgets.call_budget import CallBudget, EnforcedBudget, NoBudget
from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import BudgetLimits
from understudies.router.call import Call, Teacher
from understudies.router.endpoints.admin import AdminEndpoints, AdminHandler
from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.call_tracing import CallTracer
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
    """The part of the bus that the router uses.

    A recorder publishes encoded messages instead if the bus is an `EventSink`.
    """

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
    pages: Mapping[str, AdminHandler] | None = None,
    tracer: Tracer | None = None,
) -> RouterApp:
    """Build the router.

    Without `teacher` it asks the teachers of the rules, or else the one that the settings name, by HTTP. `spool` is a
    folder for events while the bus is unavailable; without it they wait in memory only. With `recorder_process`, the
    settings of the bus, a separate process records. `pages` are served beside the router's own, by path.
    """
    install_judge_backends()
    clock = clock or SystemClock()
    source = rules if isinstance(rules, RulesSource) else RulesSource(rules)
    router_rules = source.current().router
    if redact is default_redactor:
        redact = build_redactor(router_rules.redact_packs, router_rules.redact_patterns)
    recorder, record = _build_recorder(settings, source, bus, redact, spool, recorder_process)
    by_http = teacher is None or settings.port is not None
    catalogue = source.derive(lambda new: TeacherCatalogue(_teacher_specs(settings, new))) if by_http else None
    teachers = None if catalogue is None else _build_teachers(catalogue, source, clock)
    budget = _build_budget(settings, source, online, catalogue)
    cache = CacheStore(online or MemoryOnlineState())
    response_cache = ResponseCache(cache)
    student_cache = StudentCache(files)
    student_registry = StudentRegistry(load or student_cache.get)

    serving_teacher = teacher or teachers
    assert serving_teacher is not None
    call_service = CallService(
        teacher=serving_teacher,
        student_registry=student_registry,
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
        # `EpisodeAffinity` itself bounds the in-process memory by count as well; a `MemoryOnlineState` bounds it by
        # time only.
        route_selector=RouteSelector(
            student_registry, affinity=EpisodeAffinity(None if isinstance(online, MemoryOnlineState) else online)
        ),
        budget=budget,
        response_cache=response_cache,
        # A teacher that is given, such as a recorded log, may answer whatever model it is asked for.
        asks_successors=teacher is None,
    )
    app = RouterApp(
        call_service,
        recorder,
        bus=bus,
        clock=clock,
        address=f"{settings.host}:{settings.port}",
        online=online,
        lame_duck_s=settings.lame_duck_s,
        on_stop=[budget.close, student_cache.close, *([teachers.close] if teachers else [])],
    )
    if settings.port is not None and teachers is not None:
        metrics = RouterMetrics(
            known_task=lambda task: task in source.current().tasks or call_service.table.has_task(task)
        )
        app.exposition = metrics.exposition
        metrics.observe_recorder(recorder)
        metrics.observe_audits(lambda: call_service.audits_in_flight, lambda: call_service.audits_dropped)
        metrics.observe_cache(cache)
        metrics.observe_upstreams(lambda: teachers.upstreams)
        if online is not None:
            metrics.observe_online(lambda: online.is_unavailable)
        admission = Admission(source, settings, lambda task: call_service.table.has_task(task))
        passthrough = PassthroughEndpoint(teachers, admission)
        inference = InferenceEndpoint(
            call_service,
            admission=admission,
            passthrough=passthrough,
            clock=clock,
            new_id=new_id,
            sample=sample or random.Random().random,
            metrics=metrics,
            trace=CallTracer(tracer),
        )
        models = ModelListEndpoint(teachers, admission, lambda: call_service.table.tasks)
        dispatcher = Dispatcher(
            inference, AdminEndpoints(RouterStatus(app, source, metrics), pages), models, passthrough
        )
        app.server = HttpServer(
            dispatcher, settings.host, settings.port, grace_s=settings.drain_s, reuse_port=settings.reuse_port
        )
    return app


class RouterStatus:
    """The status of the router for the admin endpoints."""

    def __init__(self, app: RouterApp, rules: RulesSource, metrics: RouterMetrics) -> None:
        self._app = app
        self._rules = rules
        self._metrics = metrics

    @property
    def ready(self) -> bool:
        """Return whether the router takes calls."""
        return self._app.ready

    def details(self) -> Mapping[str, Any]:
        """Return the details that an operator needs."""
        recorder = self._app.recorder
        return {
            "events_waiting": len(recorder),
            "events_lost": recorder.dropped,
            "bus_away": recorder.bus_unavailable,
            "promotions_read": not self._app.behind,
            "rules_refused": self._rules.last_error,
            "tasks_served": self._app.call_service.table.tasks,
            "students_not_loaded": self._app.students_not_loaded,
            "students_left_alone": self._app.call_service.circuit_breakers.open_students(),
        }

    def exposition(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        return self._metrics.exposition()


def _build_recorder(
    settings: RouterSettings,
    rules: RulesSource,
    bus: RouterBus,
    redact: Redactor | None,
    spool: Path | None,
    recorder_process: BusSettings | None,
) -> tuple[EventRecorder, Callable[[PendingInvocation], None]]:
    """Build the recorder, in this process or a separate one, and the function that hands it a pending invocation."""
    spool_bytes = _spool_bytes(settings, rules)
    sink = bus if isinstance(bus, EventSink) else bus.publish

    def build_in_process() -> InProcessRecorder:
        async_spool = AsyncSpool(spool, limit_bytes=spool_bytes) if spool is not None else None
        return InProcessRecorder(sink, capacity=settings.buffer_events, auto=settings.auto_deliver, spool=async_spool)

    if recorder_process is None:
        recorder = build_in_process()
        return recorder, lambda note: recorder.record(note.invocation, note.size)
    router_rules = rules.current().router
    has_own = bool(router_rules.redact_packs or router_rules.redact_patterns)
    if redact not in (None, default_redactor) and not has_own:
        raise ValueError("a custom redactor cannot be passed to another process; record in this one")
    config = WorkerConfig(
        recorder_process,
        settings.buffer_events,
        spool,
        spool_bytes,
        redact=redact is not None,
        redact_packs=router_rules.redact_packs,
        redact_patterns=dict(router_rules.redact_patterns),
    )
    process_recorder = ProcessRecorder(
        config,
        _WORKER_COMMAND,
        deserialize=lambda data: deserialize(data, redact).invocation(),
        make_fallback=build_in_process,
    )
    log_throttle = Throttle()

    def record(note: PendingInvocation) -> None:
        try:
            process_recorder.record(serialize(note))
        except Exception as error:  # noqa: BLE001 - the call goes on if recording fails
            process_recorder.count_unrecordable()
            if log_throttle():
                _log.error("a call could not be recorded: %s", type(error).__name__)

    return process_recorder, record


def _spool_bytes(settings: RouterSettings, rules: RulesSource) -> int:
    configured = rules.current().router.spool_max_bytes
    return settings.spool_bytes if configured is None else configured


def _build_teachers(catalogue: DerivedFromRules[TeacherCatalogue], rules: RulesSource, clock: Clock) -> TeacherPool:
    """Build the pool of the rules' teachers, and keep it up to date with the rules."""
    teachers = TeacherPool(catalogue.value, clock=clock, choose_teacher=lambda call: rules.for_task(call.task).teacher)
    rules.subscribe(lambda _: teachers.update_catalogue(catalogue.value))
    return teachers


def _build_budget(
    settings: RouterSettings,
    rules: RulesSource,
    online: OnlineState | None,
    catalogue: DerivedFromRules[TeacherCatalogue] | None,
) -> CallBudget:
    """Build the budgets of the rules, and keep them up to date with the rules."""
    if catalogue is None:
        return NoBudget()
    prices = PriceCache()

    def expected_cost(call: Call, usage: Usage) -> Decimal:
        try:
            price = catalogue.value.chain(call.model, call.api, rules.for_task(call.task).teacher)[0].spec.price
        except UnknownModel:
            price = None
        return prices.cost(call.model, usage, price, call.at)

    def lease_s(new: Rules) -> float:
        # A reservation must outlast its call.
        return max(_MIN_LEASE_S, (new.router.request_timeout_s or settings.request_timeout_s) + _LEASE_MARGIN_S)

    limits = rules.derive(BudgetLimits.from_rules)
    limiter = BudgetLimiter(online or MemoryOnlineState(), limits.value, lease_s=lease_s(rules.current()))
    call_budget = EnforcedBudget(limiter, expected_cost)
    rules.subscribe(lambda new: call_budget.update_limits(limits.value, lease_s=lease_s(new)))
    return call_budget


def _teacher_specs(settings: RouterSettings, rules: Rules) -> Mapping[str, TeacherSpec]:
    if rules.teachers:
        return load_api_keys(rules.teachers, os.environ)
    if settings.teacher_url is None:
        raise ConfigurationError(
            "the router needs a teacher: set UNDERSTUDIES_ROUTER_TEACHER_URL, or define teachers in the rules, "
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
