"""Run all five services in one process, on a bus in memory and an embedded store, or on external ones."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from opentelemetry.trace import Tracer

from understudies.backup.staging import discard_staging
from understudies.budget.app import BudgetApp
from understudies.budget.app import create_app as create_budget
from understudies.datasets.object_store import ObjectStore
from understudies.embedded.config import PlatformConfig
from understudies.embedded.handlers import metrics_handler, operation_handlers, publish_decision, receiver_handlers
from understudies.embedded.unstored_calls import keep_unstored_calls
from understudies.evaluator.app import EvaluatorApp
from understudies.evaluator.app import create_app as create_evaluator
from understudies.events import Event, Topic
from understudies.notices.app import create_app as create_notices
from understudies.observer.app import ObserverApp
from understudies.observer.app import create_app as create_observer
from understudies.observer.replay import missing_from_store, replay_since
from understudies.redaction.patterns import default_redactor
from understudies.router.app import RouterApp
from understudies.router.factory import create_app as create_router
from understudies.runtime.bus.admin import ensure_topics
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.embedded_broker import EmbeddedBroker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.memory_bus import MemoryBus, MemoryTopics
from understudies.runtime.health import ServiceHealth
from understudies.runtime.online.base import OnlineState
from understudies.runtime.online.factory import create_online_state
from understudies.runtime.runner import Runner
from understudies.runtime.service import Checkpoint, ReplaySource, Republishing, Service
from understudies.runtime.settings import BusSettings, OnlineSettings, TelemetrySettings, settings_from
from understudies.runtime.snapshots import SnapshotStore
from understudies.runtime.store import Store
from understudies.runtime.telemetry import Telemetry
from understudies.runtime.ticking import keep_ticking
from understudies.status.queries import fetch_spending_today
from understudies.status.reader import StatusReader
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.student_cache import StudentCache
from understudies.trainer.app import TrainerApp
from understudies.trainer.app import create_app as create_trainer

_log = logging.getLogger(__name__)

SERVICES = ("observer", "evaluator", "trainer", "budget", "router")

_EARLIEST_TIME = datetime(1971, 1, 1, tzinfo=UTC)
# In case the machine's clock went back a little in the meantime; events that come twice count once.
_CLOCK_TOLERANCE = timedelta(seconds=1)


def _create_topics(config: PlatformConfig) -> MemoryTopics:
    """Create topics in memory; in a backtest without a limit, as no call comes before the earlier ones are handled."""
    return MemoryTopics(None if config.in_flight is not None else settings_from(BusSettings).memory_bytes)


class Platform:
    """Running services; an async context manager."""

    observer: ObserverApp
    evaluator: EvaluatorApp
    trainer: TrainerApp
    router: RouterApp
    budget: BudgetApp
    status: StatusReader
    store: Store
    _observer_bus: Bus

    def __init__(self, config: PlatformConfig) -> None:
        self.config = config
        self.settings = config.bus or settings_from(BusSettings)
        self.has_abandoned_work = False
        """True if a service was stopped amid its work, so that a thread of this process may still be busy."""
        self._runners: list[Runner] = []
        self._broker: EmbeddedBroker | None = None
        self._topics = _create_topics(config) if config.bus_in_memory else None
        self._exit_stack = AsyncExitStack()
        self._store_checkpoint: Checkpoint | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit_stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit_stack.aclose()

    async def _start(self) -> None:
        plan = self.config
        plan.folder.mkdir(parents=True, exist_ok=True)
        discard_staging(plan.folder)
        if self._topics is not None:
            # Offsets in snapshots are of the process that wrote them.
            self.settings = BusSettings(bootstrap="memory", group_prefix=None, generation=uuid.uuid4().hex)
        else:
            self.settings = plan.bus or await self._start_embedded_broker()
            await ensure_topics(self.settings)
        url = plan.store_url or f"chdb://{(plan.folder / 'store').resolve()}"
        store = await Store.open(url, plan.store)
        self._exit_stack.push_async_callback(store.close)
        await store.migrate()
        self._compose(store)
        if plan.bus is None:
            await self._republish(await self.observer.fetch_latest_promotions())
        for runner in self._runners:
            replays = plan.bus is None and plan.keeps_state
            replay_source = self._replay_source(store, runner.service) if replays else None
            await runner.start(replay_source)
            self._exit_stack.push_async_callback(self._stop_runner, runner)
            if replay_source is not None and isinstance(runner.service, Republishing):
                # The process may have been killed after the snapshot that lists these events, before they were stored.
                await self._republish(await missing_from_store(store, runner.service.recently_published()))

    async def _start_embedded_broker(self) -> BusSettings:
        self._broker = await self._exit_stack.enter_async_context(EmbeddedBroker())
        return self._broker.settings

    def _replay_source(self, store: Store, service: Service) -> ReplaySource:
        """Return a source of the stored events that the service's snapshot lacks; without one, the ledger folds all."""

        async def missed(since: datetime | None, topics: Sequence[Topic]) -> AsyncIterator[Sequence[Event]]:
            moment = since - _CLOCK_TOLERANCE if since else _EARLIEST_TIME if service is self.budget else None
            if moment is not None:
                async for events in replay_since(store, moment, topics):
                    yield events

        return missed

    async def _stop_runner(self, runner: Runner) -> None:
        """Stop a runner; the observer, which stops last, first stores the events that the others just published."""
        keeps_nothing = self._broker is not None or self._topics is not None
        if runner.service is self.observer and keeps_nothing and self.config.in_flight is None:
            await runner.wait_caught_up()
        if not await runner.stop():
            self.has_abandoned_work = True
        bus = self._observer_bus
        if runner.service is self.observer and self.config.keeps_state and isinstance(bus, MemoryBus):
            limit = self.config.rules_source.current().router.spool_max_bytes
            limit = self.config.router.spool_bytes if limit is None else limit
            await keep_unstored_calls(bus, self.config.folder / "spool", limit)

    def _connect(self, service: str, settings: BusSettings | None = None, tracer: Tracer | None = None) -> Bus:
        settings, in_flight = settings or self.settings, self.config.in_flight
        if self._topics is not None:
            return MemoryBus(self._topics, settings, service, in_flight, tracer=tracer)
        return KafkaBus(settings, service, in_flight, tracer=tracer)

    def _create_tracer(self, service: str) -> Tracer:
        telemetry = Telemetry(settings_from(TelemetrySettings), service)
        self._exit_stack.callback(telemetry.shutdown)
        return telemetry.tracer

    def _create_online_state(self) -> OnlineState | None:
        """Create the online state; None in a backtest, whose calls share nothing with others and have no budgets."""
        if self.config.in_flight is not None:
            return None
        settings = settings_from(OnlineSettings)
        return create_online_state(settings.url.get_secret_value(), timeout_s=settings.timeout_s)

    def _compose(self, store: Store) -> None:
        plan, clock, ids, self.store = self.config, self.config.clock, self.config.id_factory, store
        files = ObjectStore(f"file://{(plan.folder / 'artifacts').resolve()}")
        online = self._create_online_state()
        students = StudentCache(files, lora=LoraServingSettings(base=plan.trainer.lora.base))
        self._exit_stack.push_async_callback(students.close)
        # Every router needs the whole routing table, so each one reads all partitions.
        own = {"router": self.settings.model_copy(update={"group_prefix": None})}
        bus = {name: self._connect(name, own.get(name), self._create_tracer(name)) for name in SERVICES}
        self._observer_bus = bus["observer"]
        self.observer = create_observer(
            plan.observer,
            bus=bus["observer"],
            clock=clock,
            store=store,
            files=files,
            new_id=ids("observer"),
            buffer_bytes=plan.store_buffer_bytes,
        )
        self.evaluator = create_evaluator(
            plan.evaluator,
            bus=bus["evaluator"],
            object_store=files,
            students=students,
            rules=plan.rules,
            new_id=ids("evaluator"),
        )
        self.trainer = create_trainer(
            plan.trainer, bus=bus["trainer"], clock=clock, object_store=files, new_id=ids("trainer"), rules=plan.rules
        )
        self.budget = create_budget(plan.budget, bus=bus["budget"], rules=plan.rules, new_id=ids("budget"))
        self.status = StatusReader(
            store=store,
            budget=self.budget,
            evaluation=self.evaluator.evaluation,
            rules=plan.rules,
            settings=plan.budget,
            not_loaded=lambda: self.router.students_not_loaded,
            source=f"running process, data folder {plan.folder}",
            critical_tasks=plan.router.critical_tasks,
            training=lambda: self.trainer.progress,
            files=files,
        )
        self.router = create_router(
            plan.router,
            bus=bus["router"],
            clock=clock,
            files=files,
            new_id=ids("router"),
            teacher=plan.teacher,
            load=students.get,
            sample=plan.draw,
            redact=default_redactor if plan.redact else None,
            rules=plan.rules,
            online=online,
            tracer=bus["router"].tracer,
            spool=plan.folder / "spool" if plan.keeps_state else None,
            pages={
                **(plan.pages(self, partial(publish_decision, bus["budget"], store)) if plan.pages else {}),
                **operation_handlers(plan, bus, store, files, online, self._wait_stored),
                "/metrics": metrics_handler(self, self._runners),
                **receiver_handlers(plan, bus["observer"]),
            },
        )
        notices: list[Service] = []
        if plan.notices is not None:
            rules, spending = plan.rules_source.current, partial(fetch_spending_today, store)
            notices.append(create_notices(plan.notices, clock=clock, rules=rules, spending=spending))
        # The router comes last: it accepts no call before all other services run, and is the first to stop.
        apps: list[Service] = [
            *plan.extra_services,
            *notices,
            self.observer,
            self.evaluator,
            self.trainer,
            self.budget,
            self.router,
        ]
        snapshots = SnapshotStore(plan.folder / "snapshots") if plan.keeps_state else None
        for app in apps:
            app_bus = bus.get(app.name) or self._connect(app.name)
            if isinstance(app_bus, MemoryBus):
                # Services start one after another: the first ones must not be all who are waited for.
                app_bus.expect(app.topics)
            runner = Runner(
                app,
                app_bus,
                snapshots=snapshots,
                generation=self.settings.snapshot_generation,
                topic_ids_decide=not self.settings.generation,
            )
            self._runners.append(runner)

    async def _wait_stored(self) -> None:
        """Wait until the observer has stored what was published so far."""
        for runner in self._runners:
            if runner.service is self.observer:
                await runner.wait_caught_up()

    async def _republish(self, events: Sequence[Event]) -> None:
        """Publish events again on a bus of this process, which starts empty: those in force, or lost unstored ones."""
        if not events:
            return
        bus = self._connect("restore")
        await bus.start()
        try:
            await bus.publish(*events)
        finally:
            await bus.stop()

    async def fetch_health(self) -> list[ServiceHealth]:
        """Return the health of every service, with the students in force that the router cannot load."""
        found = [runner.health for runner in self._runners if runner.service not in self.config.extra_services]
        missing = self.router.students_not_loaded
        problem = "; ".join(f"{student} cannot be loaded: {why}" for student, why in missing.items())
        return [replace(one, problem=problem) if one.name == self.router.name else one for one in found]

    async def tick(self, now: datetime) -> None:
        """Tick every service in turn; if events in flight are counted, wait for idleness after each tick."""
        for runner in self._runners:
            await runner.tick(now)
            await self.wait_until_idle()

    async def wait_until_idle(self) -> None:
        """Wait until every service has handled all events, if those in flight are counted; raises a service's error."""
        if self.config.in_flight is not None:
            await self.config.in_flight.wait_until_idle()

    async def run(self, stopping: asyncio.Event, seconds: float) -> None:
        """Tick every service every `seconds` until `stopping` is set; raises the error of the first service that fails.

        Each service has its own loop: a training does not delay the decisions and snapshots of the others.
        """
        loops = [
            asyncio.ensure_future(
                keep_ticking(
                    partial(self._tick_runner, runner), runner.wait_stopped, self.config.clock, stopping, seconds
                )
            )
            for runner in self._runners
        ]
        watch = [asyncio.ensure_future(self._broker.raise_on_exit())] if self._broker else []
        try:
            await asyncio.wait([*loops, *watch], return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in (*watch, *loops) if task.done()]:
                task.result()
            await asyncio.gather(*loops)
        finally:
            for task in (*loops, *watch):
                task.cancel()
            await asyncio.gather(*loops, *watch, return_exceptions=True)

    async def _tick_runner(self, runner: Runner, now: datetime) -> None:
        if runner.service is self.observer:
            self._store_checkpoint = await runner.checkpoint(self.config.clock)
        await runner.tick(now, self._store_checkpoint)
