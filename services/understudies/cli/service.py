"""Implement `understudies observer|evaluator|trainer|budget`: run a single service from its settings."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.cli.options import (
    DEFAULT_DATA_DIR,
    ArtifactsOption,
    BootstrapOption,
    DataOption,
    InPlaceOfOption,
    PartitionedOption,
    RulesOption,
    StandbyOption,
)
from understudies.cli.partitioned_service import run_partitioned_service
from understudies.cli.process import print_line, report_errors
from understudies.cli.single_service import artifact_root, load_bus_settings, run_single_service
from understudies.runtime.clock import SystemClock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.logs import configure_logging
from understudies.runtime.partitioned.folder import require_whole, unshared_id
from understudies.runtime.process import is_locked, lock_data_dir
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.settings import BusSettings, OnlineSettings, StoreSettings, settings_from

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from understudies.cli.single_service import Description
    from understudies.datasets.object_store import ObjectStore
    from understudies.monitoring.admin_app import ReadPart
    from understudies.observer.settings import ObserverSettings
    from understudies.runtime.bus.bus import Bus
    from understudies.runtime.service import Partitionable, Service
    from understudies.runtime.store import Store
    from understudies.status.parts import StatusPart
    from understudies.status.reader import TaskStates, TrialSource

PARTITIONED = ("evaluator", "budget")
SERVICES = {
    "observer": "Run the observer: store all topics, build datasets on demand.",
    "evaluator": "Run the evaluator: verdicts, gates, drift.",
    "trainer": "Run the trainer: train students from datasets.",
    "budget": "Run the budget service: return on investment, promotions.",
}


def service_command(name: str) -> Callable[..., None]:
    """Return the command that runs one service."""

    def run(
        bootstrap: BootstrapOption = None,
        data: DataOption = DEFAULT_DATA_DIR,
        artifacts: ArtifactsOption = None,
        rules: RulesOption = None,
        standby: StandbyOption = False,
    ) -> None:
        run_alone(bootstrap, data, artifacts, rules, standby=standby)

    def run_alone(
        bootstrap: str | None,
        data: Path,
        artifacts: str | None,
        rules: Path | None,
        *,
        standby: bool,
        in_place_of: str | None = None,
    ) -> None:
        configure_logging()
        with report_errors():
            source = RulesSource(path=rules)
            settings, folder = load_bus_settings(name, bootstrap), data.resolve()

            async def compose(bus: "Bus", files: "ObjectStore", opened: contextlib.AsyncExitStack) -> "Service":
                service = await _create_service(name, bus, files, folder, source, opened)
                if name in PARTITIONED:
                    await _require_unshared(name, settings, in_place_of, folder)
                return service

            require_whole(folder, name)
            if standby and is_locked(folder, name):
                print_line(f"{name} stands by: it takes over when the process that uses {str(folder)!r} ends")
            with lock_data_dir(folder, name, patience_s=inf if standby else 0.0):
                # While it stood by, others may have dealt out the state.
                require_whole(folder, name)
                asyncio.run(
                    run_single_service(
                        name,
                        settings,
                        data=folder,
                        artifacts=artifact_root(folder, artifacts),
                        rules=source,
                        create_service=compose,
                        describe=lambda service: _describe_service(service, source),
                    )
                )

    def run_or_share(
        bootstrap: BootstrapOption = None,
        data: DataOption = DEFAULT_DATA_DIR,
        artifacts: ArtifactsOption = None,
        rules: RulesOption = None,
        standby: StandbyOption = False,
        partitioned: PartitionedOption = False,
        in_place_of: InPlaceOfOption = None,
    ) -> None:
        if not partitioned:
            run_alone(bootstrap, data, artifacts, rules, standby=standby, in_place_of=in_place_of)
            return
        configure_logging()
        with report_errors():
            if standby:
                raise ConfigurationError(
                    "--partitioned goes without --standby: who shares the work stands by for the others"
                )
            source = RulesSource(path=rules)
            settings, folder = load_bus_settings(name, bootstrap), data.resolve()
            with lock_data_dir(folder, name, shared=True):
                asyncio.run(
                    run_partitioned_service(
                        name,
                        settings,
                        data=folder,
                        artifacts=artifact_root(folder, artifacts),
                        rules=source,
                        in_place_of=in_place_of,
                        open_factory=lambda files, opened: _partition_factory(name, files, source, opened),
                        describe=lambda services, count: _describe_partitions(name, services, count, source),
                    )
                )

    return run_or_share if name in PARTITIONED else run


async def _require_unshared(name: str, settings: BusSettings, in_place_of: str | None, data: Path) -> None:
    from understudies.runtime.bus.task_partition import PARTITIONED_TOPICS
    from understudies.runtime.partitioned.group import require_unshared

    await require_unshared(settings, name, PARTITIONED_TOPICS, in_place_of, unshared_id(data, name))


def _partition_factory(
    name: str, files: "ObjectStore", rules: RulesSource, opened: contextlib.AsyncExitStack
) -> "Callable[[Bus], Partitionable]":
    """Return what creates the service of each partition; all of them share the students that are loaded."""
    from understudies.events import new_id

    if name == "budget":
        from understudies.budget.app import create_app as create_budget
        from understudies.budget.settings import BudgetSettings

        budget_settings = settings_from(BudgetSettings)
        return lambda bus: create_budget(budget_settings, bus=bus, rules=rules, new_id=new_id)
    from understudies.evaluator.app import create_app as create_evaluator
    from understudies.evaluator.settings import EvaluatorSettings
    from understudies.students.student_cache import StudentCache

    settings, students = settings_from(EvaluatorSettings), StudentCache(files)
    opened.push_async_callback(students.close)
    return lambda bus: create_evaluator(
        settings, bus=bus, object_store=files, students=students, rules=rules, new_id=new_id
    )


def _describe_partitions(
    name: str, services: "Callable[[], Mapping[int, Service]]", count: int, rules: RulesSource
) -> "Description":
    """Return the collectors of the services that run now, by partition, and what tells their part of the status."""
    from understudies.status.partitions import PartitionedBudget, PartitionedTrials
    from understudies.status.parts import OwnedPartitions

    if name == "budget":
        collectors, read = _describe_budget(PartitionedBudget(lambda: services().values()), rules)
    else:
        collectors, read = _describe_evaluation(PartitionedTrials(lambda: services().values()))

    async def read_owned(task: str | None) -> "StatusPart":
        before = services().keys()
        part = await read(task)
        numbers = tuple(sorted(before & services().keys()))
        return part.model_copy(update={"partitions": OwnedPartitions(numbers=numbers, count=count)})

    return collectors, read_owned


async def _create_service(
    name: str, bus: "Bus", files: "ObjectStore", data: Path, rules: RulesSource, opened: contextlib.AsyncExitStack
) -> "Service":
    """Create the service from its settings; the resources that it opens are closed with `opened`."""
    from understudies.events import new_id
    from understudies.students.student_cache import StudentCache

    clock = SystemClock()
    if name == "observer":
        from understudies.observer.app import create_app as create_observer
        from understudies.observer.settings import ObserverSettings
        from understudies.runtime.store import Store

        store = await Store.open(_store_url(data), settings_from(StoreSettings))
        opened.push_async_callback(store.close)
        settings = settings_from(ObserverSettings)
        await _open_receiver(settings, bus, rules, opened)
        await _open_console(settings, bus, store, files, rules, opened)
        return create_observer(settings, bus=bus, clock=clock, store=store, files=files, new_id=new_id)
    if name == "evaluator":
        from understudies.evaluator.app import create_app as create_evaluator
        from understudies.evaluator.settings import EvaluatorSettings

        students = StudentCache(files)
        opened.push_async_callback(students.close)
        return create_evaluator(
            settings_from(EvaluatorSettings),
            bus=bus,
            object_store=files,
            students=students,
            rules=rules,
            new_id=new_id,
        )
    if name == "trainer":
        from understudies.runtime.online.factory import create_online_state
        from understudies.trainer.app import create_app as create_trainer
        from understudies.trainer.settings import TrainerSettings

        shared = settings_from(OnlineSettings)
        online = create_online_state(shared.url.get_secret_value(), timeout_s=shared.timeout_s)
        opened.push_async_callback(online.close)
        return create_trainer(
            settings_from(TrainerSettings),
            bus=bus,
            clock=clock,
            object_store=files,
            new_id=new_id,
            rules=rules,
            online=online,
        )
    from understudies.budget.app import create_app as create_budget
    from understudies.budget.settings import BudgetSettings

    return create_budget(settings_from(BudgetSettings), bus=bus, rules=rules, new_id=new_id)


def _describe_budget(budget: "TaskStates", rules: RulesSource) -> "tuple[tuple[Collector, ...], ReadPart]":
    from understudies.budget.settings import BudgetSettings
    from understudies.monitoring.budget_metrics import BudgetCollector
    from understudies.status import part_readers

    now, settings = SystemClock().now, settings_from(BudgetSettings)
    reader = part_readers.budget_reader(budget, rules, settings)

    async def read(task: str | None) -> "StatusPart":
        return await part_readers.read_budget_part(reader, now())

    return (BudgetCollector(budget, reader.phase, now),), read


def _describe_evaluation(evaluation: "TrialSource") -> "tuple[tuple[Collector, ...], ReadPart]":
    from understudies.monitoring.evaluator_metrics import EvaluatorCollector
    from understudies.status import part_readers

    now = SystemClock().now

    async def read(task: str | None) -> "StatusPart":
        return part_readers.read_evaluator_part(evaluation, now())

    return (EvaluatorCollector(evaluation),), read


def _describe_service(service: "Service", rules: RulesSource) -> "Description":
    """Return the collectors of a service, and what tells its part of the status."""
    from understudies.budget.app import BudgetApp
    from understudies.evaluator.app import EvaluatorApp
    from understudies.judges.backends import BACKENDS
    from understudies.observer.app import ObserverApp
    from understudies.status import part_readers
    from understudies.status.parts import TrainerPart
    from understudies.status.price_sources import PriceSources
    from understudies.trainer.app import TrainerApp

    now = SystemClock().now
    if isinstance(service, BudgetApp):
        return _describe_budget(service, rules)
    if isinstance(service, EvaluatorApp):
        return _describe_evaluation(service.evaluation)
    if isinstance(service, ObserverApp):
        store, prices = service.store, PriceSources()

        async def read_stored(task: str | None) -> "StatusPart":
            return await part_readers.read_observer_part(store, task, now(), prices)

        return (), read_stored

    progress = service.progress if isinstance(service, TrainerApp) else {}

    async def read_training(task: str | None) -> "StatusPart":
        return TrainerPart(at=now(), training=dict(progress), judge_failures=BACKENDS.health.failures)

    return (), read_training


async def _open_receiver(
    settings: "ObserverSettings", bus: "Bus", rules: RulesSource, opened: contextlib.AsyncExitStack
) -> None:
    """Take spans on the observer's port, if it has one."""
    from understudies.otlp.factory import create_endpoint, start_server
    from understudies.router.settings import RouterSettings

    if settings.otlp_port is None:
        return
    host, router = settings.otlp_host, settings_from(RouterSettings)
    endpoint = create_endpoint(router, host=host, rules=rules, bus=bus, clock=SystemClock())
    server = await start_server(endpoint, host, settings.otlp_port)
    opened.push_async_callback(server.stop)
    print_line(f"spans are taken at {server.url}/v1/traces")


async def _open_console(
    settings: "ObserverSettings",
    bus: "Bus",
    store: "Store",
    files: "ObjectStore",
    rules: RulesSource,
    opened: contextlib.AsyncExitStack,
) -> None:
    """Serve the console on the observer's port, if it has one."""
    from understudies.cli.console_pages import observer_pages
    from understudies.console.server import start_console

    if settings.console_port is None:
        return
    await store.migrate()
    pages = observer_pages(settings, bus, store, files, rules)
    server = await start_console(pages, settings.console_host, settings.console_port)
    opened.push_async_callback(server.stop)
    print_line(f"the console is at {server.url}/")


def _store_url(data: Path) -> str:
    """Return the store URL of the settings; without one, that of a persistent store in the data folder."""
    settings = settings_from(StoreSettings)
    return settings.url.get_secret_value() if "url" in settings.model_fields_set else f"chdb://{data / 'store'}"
