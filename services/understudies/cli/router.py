"""Implement `understudies router`: run only the router."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudies.cli.options import (
    DEFAULT_DATA_DIR,
    ArtifactsOption,
    BootstrapOption,
    DataOption,
    RulesOption,
    check_teacher_url,
    status_access,
)
from understudies.cli.process import print_line, report_errors, run_event_loop, stop_on_signal
from understudies.cli.single_service import artifact_root, load_bus_settings, run_single_service
from understudies.cli.workers import run_workers
from understudies.runtime.clock import SystemClock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.logs import configure_logging
from understudies.runtime.online.factory import create_online_state
from understudies.runtime.process import lock_data_dir
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.settings import OnlineSettings, settings_from

if TYPE_CHECKING:
    from understudies.datasets.object_store import ObjectStore
    from understudies.router.app import RouterApp
    from understudies.router.settings import RouterSettings
    from understudies.runtime.bus.bus import Bus
    from understudies.status.parts import StatusPart

EPILOG = """
Examples:

  understudies router --port 8080 --teacher-url https://api.openai.com/v1 --bootstrap kafka:9092

  understudies router --host 0.0.0.0 --rules understudies.toml --redis-url redis://redis:6379 --workers 4

  kill -HUP $(cat understudies-data/router.lock)      reloads the rules at once
"""
_DEFAULT_PORT = 8080


def router(
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on; 0 takes any free one.",
            min=0,
            max=65535,
            show_default=f"UNDERSTUDIES_ROUTER_PORT, else {_DEFAULT_PORT}",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on.", show_default="UNDERSTUDIES_ROUTER_HOST, else 127.0.0.1"),
    ] = None,
    teacher_url: Annotated[
        str | None,
        typer.Option(
            help="Base URL of the teacher; not needed if the rules define teachers.",
            show_default="UNDERSTUDIES_ROUTER_TEACHER_URL",
        ),
    ] = None,
    bootstrap: BootstrapOption = None,
    redis_url: Annotated[
        str | None,
        typer.Option(
            help="Redis, for budgets and a cache that several routers share.", show_default="UNDERSTUDIES_ONLINE_URL"
        ),
    ] = None,
    rules: RulesOption = None,
    data: DataOption = DEFAULT_DATA_DIR,
    artifacts: ArtifactsOption = None,
    workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=256)] = 1,
) -> None:
    """Run the router, the proxy for OpenAI and Anthropic clients, until SIGTERM or Ctrl-C.

    Options override the environment (UNDERSTUDIES_ROUTER_…), and the rules' table `router` overrides both.
    The rules are reloaded when their file changes, and at once on SIGHUP.
    """
    from understudies.router.settings import RouterSettings

    configure_logging()
    with report_errors():
        if teacher_url is not None:
            check_teacher_url(teacher_url)
        source = RulesSource(path=rules)
        settings = settings_from(RouterSettings, port=port, host=host, teacher_url=teacher_url)
        settings = settings.model_copy(update={"port": _DEFAULT_PORT if settings.port is None else settings.port})
        online = settings_from(OnlineSettings, url=redis_url)
        folder, bus = data.resolve(), load_bus_settings("router", bootstrap)
        _check_has_teacher(settings, source.current())
        root = artifact_root(folder, artifacts)
        # Every replica needs the whole routing table, so each one reads all partitions.
        bus = bus.model_copy(update={"group_prefix": None})

        async def compose(bus: "Bus", files: "ObjectStore", opened: contextlib.AsyncExitStack) -> "RouterApp":
            return _create_app(settings, bus, files, source, online, folder / "spool")

        with lock_data_dir(folder, "router"):
            if workers > 1:
                _check_multiple_workers(settings, source.current(), online)
                commands = [
                    _worker_command(folder / f"worker-{number}", root, rules) for number in range(1, workers + 1)
                ]
                environment = _worker_environment(settings, bootstrap, redis_url)
                raise typer.Exit(run_event_loop(_run_workers(commands, environment)))
            run_event_loop(
                run_single_service("router", bus, data=folder, artifacts=root, rules=source, create_service=compose)
            )


def _create_app(
    settings: "RouterSettings",
    bus: "Bus",
    files: "ObjectStore",
    rules: RulesSource,
    online: OnlineSettings,
    spool: Path,
) -> "RouterApp":
    from understudies.events import new_id
    from understudies.monitoring.admin_app import PartEndpoint
    from understudies.router.factory import create_app
    from understudies.status.parts import RouterPart
    from understudies.status.standing import STATUS_PATH

    clock, access = SystemClock(), status_access(settings.host)

    async def read_part(task: str | None) -> "StatusPart":
        return RouterPart(at=clock.now(), not_loaded=dict(app.students_not_loaded))

    app = create_app(
        settings,
        bus=bus,
        clock=clock,
        files=files,
        new_id=new_id,
        rules=rules,
        online=create_online_state(online.url.get_secret_value(), timeout_s=online.timeout_s),
        spool=spool,
        recorder_process=bus.settings if settings.record_apart else None,
        tracer=bus.tracer,
        pages={STATUS_PATH: PartEndpoint(read_part, access)},
    )
    return app


def _check_has_teacher(settings: "RouterSettings", rules: Rules) -> None:
    if settings.teacher_url is None and not rules.teachers:
        raise ConfigurationError(
            "the router needs a teacher: pass --teacher-url URL, or --rules with a table [teachers.NAME]"
        )


def _check_multiple_workers(settings: "RouterSettings", rules: Rules, online: OnlineSettings) -> None:
    """Raise ConfigurationError if the settings cannot work with several processes."""
    if settings.port == 0:
        raise ConfigurationError("--workers needs a --port that all of them share, not 0")
    tasks = (rules.defaults, *rules.tasks.values())
    budgets = {one.daily_budget_usd for one in tasks} | {one.daily_budget_usd for one in rules.tenants.values()}
    if budgets != {None} and online.url.get_secret_value().startswith("fake:"):
        raise ConfigurationError(
            "the rules have daily budgets, which several workers can only count together in Redis; pass --redis-url"
        )


async def _run_workers(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> int:
    stopping = stop_on_signal()
    print_line(f"router runs as {len(commands)} workers")
    return await run_workers(commands, environment, stopping)


def _worker_command(data: Path, root: str, rules: Path | None) -> list[str]:
    # The path is not resolved, as the target of a symbolic link may change.
    file = [] if rules is None else ["--rules", str(rules.absolute())]
    return [sys.executable, "-m", "understudies.cli", "router", "--artifacts", root, *file, "--data", str(data)]


def _worker_environment(settings: "RouterSettings", bootstrap: str | None, redis_url: str | None) -> dict[str, str]:
    """Return the environment of a worker; it carries the secrets, as any process can read a command line."""
    given = {
        "UNDERSTUDIES_ROUTER_HOST": settings.host,
        "UNDERSTUDIES_ROUTER_PORT": str(settings.port),
        "UNDERSTUDIES_ROUTER_REUSE_PORT": "true",
        "UNDERSTUDIES_ROUTER_TEACHER_URL": settings.teacher_url,
        "UNDERSTUDIES_BUS_BOOTSTRAP": bootstrap,
        "UNDERSTUDIES_ONLINE_URL": redis_url,
    }
    return {**os.environ, **{name: value for name, value in given.items() if value is not None}}
