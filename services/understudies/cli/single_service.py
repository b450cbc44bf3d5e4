"""Run a single service with its broker, rules and snapshots until it is stopped."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.cli.process import exit_now, print_line, stop_on_signal
from understudies.runtime.clock import SystemClock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.settings import AdminSettings, BusSettings, settings_from

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from understudies.datasets.object_store import ObjectStore
    from understudies.monitoring.admin_app import ReadPart
    from understudies.monitoring.service_metrics import RunningService
    from understudies.runtime.bus.bus import Bus
    from understudies.runtime.service import Service

Description = tuple["tuple[Collector, ...]", "ReadPart | None"]
"""The collectors of a service, and what tells its part of the status."""
ServiceFactory = Callable[["Bus", "ObjectStore", contextlib.AsyncExitStack], Awaitable["Service"]]
"""Creates the service; the resources that it opens are closed with the stack."""

_TICK_SECONDS = 1.0


def load_bus_settings(name: str, bootstrap: str | None) -> BusSettings:
    """Return the settings of the bus; raises ConfigurationError if they name no broker."""
    settings = settings_from(BusSettings, bootstrap=bootstrap)
    if not settings.bootstrap:
        raise ConfigurationError(
            f"{name} needs a broker: pass --bootstrap HOST:PORT or set UNDERSTUDIES_BUS_BOOTSTRAP; "
            "`understudies up` runs all services without one"
        )
    return settings


def artifact_root(data: Path, artifacts: str | None) -> str:
    """Return the root URL of datasets and artifacts."""
    return artifacts or f"file://{data / 'artifacts'}"


async def run_single_service(
    name: str,
    settings: BusSettings,
    *,
    data: Path,
    artifacts: str,
    rules: RulesSource,
    create_service: ServiceFactory,
    describe: Callable[["Service"], Description] | None = None,
) -> None:
    """Run a service until SIGTERM or Ctrl-C, and print its address, broker and artifacts."""
    from understudies.datasets.object_store import ObjectStore
    from understudies.runtime.bus.kafka_bus import KafkaBus
    from understudies.runtime.process import freeze_startup_objects, load_instance_id
    from understudies.runtime.runner import Runner
    from understudies.runtime.settings import TelemetrySettings
    from understudies.runtime.snapshots import SnapshotStore
    from understudies.runtime.telemetry import Telemetry
    from understudies.runtime.ticking import keep_ticking

    stopping = stop_on_signal()
    async with contextlib.AsyncExitStack() as opened:
        await opened.enter_async_context(rules.watch())
        telemetry = Telemetry(settings_from(TelemetrySettings), name)
        opened.callback(telemetry.shutdown)
        bus = KafkaBus(settings, name, tracer=telemetry.tracer, instance=load_instance_id(data, name))
        app = await create_service(bus, ObjectStore(artifacts), opened)
        runner = Runner(
            app,
            bus,
            snapshots=SnapshotStore(data / "snapshots"),
            generation=settings.snapshot_generation,
            topic_ids_decide=not settings.generation,
        )
        if describe is not None:
            await open_admin(runner, describe(app), opened)
        await runner.start()
        freeze_startup_objects()
        group = f"group {settings.group_prefix}-{name}" if settings.group_prefix else "no group"
        print_line(
            f"{name} runs: {_describe_address(app)}broker {settings.bootstrap}, {group}, artifacts in {artifacts}"
        )
        try:
            await keep_ticking(runner.tick, runner.wait_stopped, SystemClock(), stopping, _TICK_SECONDS)
            print_line("stopping")
        finally:
            finished = await runner.stop()
    print_line("stopped")
    if not finished:
        exit_now()


async def open_admin(runner: "RunningService", described: Description, opened: contextlib.AsyncExitStack) -> None:
    """Tell how the service stands on a port, if the settings name one; it listens before the service runs."""
    from understudies.cli.options import status_access
    from understudies.monitoring.admin_app import AdminApp, PartEndpoint, start_admin_server
    from understudies.monitoring.service_metrics import ServiceCollector

    settings = settings_from(AdminSettings)
    if settings.port is None:
        return
    collectors, read_part = described
    name = runner.name

    def starting() -> str:
        return "" if runner.is_running else _describe_start(name)

    status = PartEndpoint(read_part, status_access(settings.host), starting) if read_part else None
    app = AdminApp(name, lambda: runner.is_running, (ServiceCollector([runner]), *collectors), status)
    server = await start_admin_server(app, settings)
    opened.push_async_callback(server.stop)
    print_line(f"{name} tells how it stands at {server.url}/status, /metrics, /readyz and /livez")


def _describe_start(name: str) -> str:
    """Return what a service does before it runs, and what to do about it."""
    work = "brings the store's tables up to date" if name == "observer" else "restores its state and joins its topics"
    return (
        f"{name} is starting: it {work}; ask again once /readyz answers with 200, and see its log if that takes minutes"
    )


def _describe_address(app: "Service") -> str:
    url = getattr(app, "url", None)
    return f"listens on {url}/v1, " if url else ""
