"""Implement `understudies up`: run all five services in one long-lived process."""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudies.cli.options import (
    DEFAULT_DATA_DIR,
    RulesOption,
    check_source,
    check_teacher_url,
    external_store_url,
    status_access,
)
from understudies.cli.process import exit_now, print_line, report_errors, run_event_loop, stop_on_signal
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.logs import configure_logging
from understudies.runtime.process import lock_data_dir
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.settings import BusSettings, settings_from

if TYPE_CHECKING:
    from understudies.router.settings import RouterSettings

EPILOG = """
Examples:

  understudies up --port 8080 --teacher-url https://api.openai.com/v1 --data ./understudies-data

  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 python my_agent.py

  understudies up --rules understudies.toml      with its teachers, tenants and budgets

  understudies up --teacher-url https://api.openai.com/v1 --learn calls.jsonl      begins with what was recorded
"""
_LOCK_PATIENCE_S: Final = 5.0
"""Longest wait for `understudies status` to have read the folder."""
_PHASE_SECONDS: Final = 5.0
"""Pause between two looks at the phases of the tasks."""


def up(
    teacher_url: Annotated[
        str | None,
        typer.Option(
            help="OpenAI-compatible base URL of the teacher; not needed if the rules define teachers.",
            show_default="UNDERSTUDIES_ROUTER_TEACHER_URL",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port that the router listens on; 0 takes any free one.", min=0, max=65535)
    ] = 8080,
    host: Annotated[str, typer.Option(help="Address that the router listens on.")] = "127.0.0.1",
    data: Annotated[Path, typer.Option(help="Folder for store, artifacts and snapshots.")] = DEFAULT_DATA_DIR,
    rules: RulesOption = None,
    learn: Annotated[
        Path | None,
        typer.Option(
            help="Recorded calls to import once it runs, as `understudies import` does, so that training begins at "
            "once; what was imported before adds nothing."
        ),
    ] = None,
    tick_seconds: Annotated[float, typer.Option(help="Seconds between decisions and snapshots.", min=0.05)] = 1.0,
) -> None:
    """Run router, observer, evaluator, trainer and budget in one process, until SIGTERM or Ctrl-C.

    State survives a restart and a kill: promotions, gates, drift and ledger are restored from the data folder.
    On SIGTERM the calls in flight are finished and stored. A kill of the process can lose the record of calls answered
    in its last second, as they are not stored yet; every stored call is counted, exactly once.

    Events pass from service to service in memory, and are forgotten once all have handled them; while more calls wait
    than UNDERSTUDIES_BUS_MEMORY_BYTES, the later ones wait on disk. With UNDERSTUDIES_BUS_BOOTSTRAP they pass through a
    Kafka broker. A ClickHouse set in UNDERSTUDIES_STORE_URL replaces the store in the data folder.
    """
    from understudies.router.settings import RouterSettings

    configure_logging()
    with report_errors():
        if teacher_url is not None:
            check_teacher_url(teacher_url)
        if learn is not None:
            check_source(learn)
        source = RulesSource(path=rules)
        router = settings_from(RouterSettings, teacher_url=teacher_url, host=host, port=port)
        if router.teacher_url is None and not source.current().teachers:
            raise typer.BadParameter(
                "pass the teacher's base URL, or --rules with a table [teachers.NAME]", param_hint="'--teacher-url'"
            )
        with lock_data_dir(data.resolve(), "up", patience_s=_LOCK_PATIENCE_S):
            run_event_loop(_run(router, data.resolve(), source, tick_seconds, learn))


async def _run(
    router: "RouterSettings", data: Path, rules: RulesSource, tick_seconds: float, learn: Path | None
) -> None:
    from understudies.cli.console_pages import platform_pages
    from understudies.console.operations import create_operations
    from understudies.embedded.config import PlatformConfig
    from understudies.embedded.platform import Platform
    from understudies.notices.settings import NoticeSettings
    from understudies.runtime.process import freeze_startup_objects
    from understudies.status.phase_log import keep_logging
    from understudies.status.running import RunningProcess, announce

    stopping = stop_on_signal()
    bus, store = _external_bus(), external_store_url()
    if bus is not None:
        await require_own_state(bus, data)
    token = secrets.token_urlsafe(32)
    access = status_access(router.host, token, rules.current)
    platform = Platform(
        PlatformConfig(
            folder=data,
            rules=rules,
            router=router,
            bus=bus,
            bus_in_memory=bus is None,
            store_url=store,
            pages=lambda platform, publish: platform_pages(platform, access, rules.current, publish),
            operations=lambda sink, stage, eraser, read: create_operations(sink, stage, eraser, read, access),
            notices=settings_from(NoticeSettings),
        )
    )
    async with rules.watch(), platform:
        freeze_startup_objects()
        teacher = router.teacher_url or ", ".join(rules.current().teachers)
        told = asyncio.ensure_future(keep_logging(platform.status, platform.config.clock, _PHASE_SECONDS))
        with announce(data, RunningProcess(url=platform.router.url, token=token)):
            print_line(
                f"router listens on {platform.router.url}/v1, teacher {teacher}, data in {data}"
                f"{_describe_external(bus, store)}"
            )
            print_line(f"how every task stands: {platform.router.url}/ in a browser, or `understudies status`")
            learning = asyncio.ensure_future(_learn(learn, data)) if learn is not None else None
            try:
                await platform.run(stopping, tick_seconds)
            finally:
                told.cancel()
                if learning is not None:
                    learning.cancel()
                    await asyncio.gather(learning, return_exceptions=True)
        print_line("stopping: finishing and storing the calls in flight")
    print_line("stopped")
    if platform.has_abandoned_work:
        exit_now()


async def _learn(calls: Path, data: Path) -> None:
    """Import recorded calls by a process of its own, so that no agent's call waits for it."""
    command = (sys.executable, "-m", "understudies.cli", "import", str(calls), "--data", str(data))
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if code:
        print_line(f"{calls} was not imported wholly: `understudies import {calls} --data {data}` imports the rest")


async def require_own_state(bus: BusSettings, data: Path) -> None:
    """Raise ConfigurationError if copies have the state of a service that is to run in this process.

    Raises RetryLater while the broker is unavailable.
    """
    from understudies.cli.service import PARTITIONED
    from understudies.runtime.bus.task_partition import PARTITIONED_TOPICS
    from understudies.runtime.partitioned.folder import require_whole, unshared_id
    from understudies.runtime.partitioned.group import require_unshared

    for name in PARTITIONED:
        try:
            require_whole(data, name)
            await require_unshared(bus, name, PARTITIONED_TOPICS, own=unshared_id(data, name))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{error}. `understudies up` has no such options: run `understudies {name}`, or give `up` groups of "
                "its own by UNDERSTUDIES_BUS_GROUP_PREFIX and another --data"
            ) from error


def _external_bus() -> BusSettings | None:
    """Return the broker's settings; None if events are to stay in this process."""
    settings = settings_from(BusSettings)
    return settings if settings.bootstrap else None


def _describe_external(bus: BusSettings | None, store: str | None) -> str:
    """Describe the external broker and store, without the store's password."""
    named = [f"broker {bus.bootstrap}"] if bus else []
    if store:
        scheme, _, rest = store.partition("://")
        named.append(f"store {scheme}://{rest.rpartition('@')[2]}")
    return "".join(f", {name}" for name in named)
