"""`understudies router`: the front door alone."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudies.cli.alone import broker, root_of, run_alone
from understudies.cli.failure import told
from understudies.cli.options import DATA, Artifacts, Bootstrap, Data, RulesFile, check_teacher_url, settings_from
from understudies.cli.process import run, say, stopping_by_signal
from understudies.cli.workers import run_workers
from understudies.runtime import ConfigurationError, OnlineSettings, SystemClock
from understudies.runtime.folder import data_folder
from understudies.runtime.logs import log_to_stderr
from understudies.runtime.online import online_state
from understudies.runtime.reload import RulesSource
from understudies.runtime.rules import Rules

if TYPE_CHECKING:
    from understudies.router import RouterApp, RouterSettings
    from understudies.runtime import Bus
    from understudies.students import Files

EPILOG = """
Examples:

  understudies router --port 8080 --teacher-url https://api.openai.com/v1 --bootstrap kafka:9092

  understudies router --host 0.0.0.0 --rules understudies.toml --redis-url redis://redis:6379 --workers 4

  kill -HUP $(cat understudies-data/router.lock)      reads the rules again at once
"""
_PORT = 8080


def router(
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on; 0 takes any free one.",
            min=0,
            max=65535,
            show_default=f"UNDERSTUDIES_ROUTER_PORT, else {_PORT}",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on.", show_default="UNDERSTUDIES_ROUTER_HOST, else 127.0.0.1"),
    ] = None,
    teacher_url: Annotated[
        str | None,
        typer.Option(
            help="Base URL of the teacher; not needed where the rules have teachers.",
            show_default="UNDERSTUDIES_ROUTER_TEACHER_URL",
        ),
    ] = None,
    bootstrap: Bootstrap = None,
    redis_url: Annotated[
        str | None,
        typer.Option(
            help="Redis, for budgets and the cache of several routers.", show_default="UNDERSTUDIES_ONLINE_URL"
        ),
    ] = None,
    rules: RulesFile = None,
    data: Data = DATA,
    artifacts: Artifacts = None,
    workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1, max=256)] = 1,
) -> None:
    """Run the router: the front door for OpenAI's and Anthropic's clients, until SIGTERM or Ctrl-C.

    Options come before the environment (UNDERSTUDIES_ROUTER_…), and the rules' table `router` before both.
    The rules are read again where their file changes, and at once on SIGHUP.
    """
    from understudies.router import RouterSettings

    log_to_stderr()
    with told():
        if teacher_url is not None:
            check_teacher_url(teacher_url)
        source = RulesSource(path=rules)
        settings = settings_from(RouterSettings, port=port, host=host, teacher_url=teacher_url)
        settings = settings.model_copy(update={"port": _PORT if settings.port is None else settings.port})
        online = settings_from(OnlineSettings, url=redis_url)
        folder, bus = data.resolve(), broker("router", bootstrap)
        _check(settings, source.current())
        root = root_of(folder, artifacts)
        # Every replica needs the whole routing table, so none shares the partitions with another.
        bus = bus.model_copy(update={"group_prefix": None})

        async def compose(bus: "Bus", files: "Files", opened: contextlib.AsyncExitStack) -> "RouterApp":
            return _app(settings, bus, files, source, online, folder / "spool")

        with data_folder(folder, "router"):
            if workers > 1:
                _check_shared(settings, source.current(), online)
                commands = [_worker(folder / f"worker-{number}", root, rules) for number in range(1, workers + 1)]
                environment = _environment(settings, bootstrap, redis_url)
                raise typer.Exit(run(_run_several(commands, environment)))
            run(run_alone("router", bus, data=folder, root=root, rules=source, compose=compose))


def _app(
    settings: "RouterSettings", bus: "Bus", files: "Files", rules: RulesSource, online: OnlineSettings, spool: Path
) -> "RouterApp":
    from understudies import router
    from understudies.events import new_id

    return router.create_app(
        settings,
        bus=bus,
        clock=SystemClock(),
        files=files,
        new_id=new_id,
        rules=rules,
        online=online_state(online.url.get_secret_value(), timeout_s=online.timeout_s),
        spool=spool,
        apart=bus.settings if settings.record_apart else None,
    )


def _check(settings: "RouterSettings", rules: Rules) -> None:
    if settings.teacher_url is None and not rules.teachers:
        raise ConfigurationError(
            "the router needs a teacher: give --teacher-url URL, or --rules with a table [teachers.NAME]"
        )


def _check_shared(settings: "RouterSettings", rules: Rules, online: OnlineSettings) -> None:
    """What several processes cannot do without."""
    if settings.port == 0:
        raise ConfigurationError("--workers needs a --port that all of them share, not 0")
    tasks = (rules.defaults, *rules.tasks.values())
    budgets = {one.daily_budget_usd for one in tasks} | {one.daily_budget_usd for one in rules.tenants.values()}
    if budgets != {None} and online.url.get_secret_value().startswith("fake:"):
        raise ConfigurationError(
            "the rules have daily budgets, which several workers count together in Redis; give --redis-url"
        )


async def _run_several(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> int:
    stopping = stopping_by_signal()
    say(f"router runs as {len(commands)} workers")
    return await run_workers(commands, environment, stopping)


def _worker(data: Path, root: str, rules: Path | None) -> list[str]:
    # The path stays as it is given: what it links to changes.
    file = [] if rules is None else ["--rules", str(rules.absolute())]
    return [sys.executable, "-m", "understudies.cli", "router", "--artifacts", root, *file, "--data", str(data)]


def _environment(settings: "RouterSettings", bootstrap: str | None, redis_url: str | None) -> dict[str, str]:
    """The environment of a worker; secrets stay out of the command line, which every process can read."""
    given = {
        "UNDERSTUDIES_ROUTER_HOST": settings.host,
        "UNDERSTUDIES_ROUTER_PORT": str(settings.port),
        "UNDERSTUDIES_ROUTER_REUSE_PORT": "true",
        "UNDERSTUDIES_ROUTER_TEACHER_URL": settings.teacher_url,
        "UNDERSTUDIES_BUS_BOOTSTRAP": bootstrap,
        "UNDERSTUDIES_ONLINE_URL": redis_url,
    }
    return {**os.environ, **{name: value for name, value in given.items() if value is not None}}
