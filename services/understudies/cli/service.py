"""`understudies observer|evaluator|trainer|router|budget`: one service alone, from its settings."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudies.cli.failure import told
from understudies.cli.logs import log_to_stderr
from understudies.cli.process import leave, say, stopping_by_signal
from understudies.runtime import BusSettings, ConfigurationError, StoreSettings, SystemClock
from understudies.runtime.folder import data_folder
from understudies.runtime.rules import Rules, read_rules

if TYPE_CHECKING:
    from understudies.runtime import Bus
    from understudies.runtime.runner import App

SERVICES = {
    "observer": "Run the observer: all topics into the store, datasets on demand.",
    "evaluator": "Run the evaluator: verdicts, gates, drift.",
    "trainer": "Run the trainer: students from datasets.",
    "router": "Run the router: the OpenAI-compatible front door.",
    "budget": "Run the budget service: return on investment, promotions.",
}
_TICK_SECONDS = 1.0


def service_command(name: str) -> Callable[..., None]:
    """The command that runs one service."""

    def run(
        bootstrap: Annotated[
            str | None, typer.Option(help="Kafka broker, HOST:PORT.", show_default="UNDERSTUDIES_BUS_BOOTSTRAP")
        ] = None,
        data: Annotated[
            Path, typer.Option(help="Folder for snapshots; artifacts too, unless --artifacts names a URL.")
        ] = Path("understudies-data"),
        artifacts: Annotated[
            str | None, typer.Option(help="Root URL of datasets and artifacts that all services share, such as s3://…")
        ] = None,
        rules: Annotated[Path | None, typer.Option(help="Rules per task, such as understudies.toml.")] = None,
    ) -> None:
        log_to_stderr()
        with told():
            chosen = read_rules(rules) if rules else Rules()
            with data_folder(data.resolve(), name):
                asyncio.run(_run(name, bootstrap, data.resolve(), artifacts, chosen))

    return run


async def _run(name: str, bootstrap: str | None, data: Path, artifacts: str | None, rules: Rules) -> None:
    from understudies.runtime import Bus, Snapshots, Telemetry, TelemetrySettings
    from understudies.runtime.runner import Runner, keep_ticking

    settings = BusSettings() if bootstrap is None else BusSettings(bootstrap=bootstrap)
    if not settings.bootstrap:
        raise ConfigurationError(
            f"{name} alone needs a broker: give --bootstrap HOST:PORT or set UNDERSTUDIES_BUS_BOOTSTRAP; "
            "`understudies up` runs all services with an embedded one"
        )
    stopping = stopping_by_signal()
    root = artifacts or f"file://{data / 'artifacts'}"
    if name == "router":
        # Every replica needs the whole routing table, so none shares the partitions with another.
        settings = settings.model_copy(update={"group_prefix": None})
    async with contextlib.AsyncExitStack() as opened:
        telemetry = Telemetry(TelemetrySettings(), name)
        opened.callback(telemetry.shutdown)
        bus = Bus(settings, name, tracer=telemetry.tracer)
        app = await _app(name, bus, root, data, rules, opened)
        generation = settings.generation or settings.bootstrap or ""
        runner = Runner(app, bus, snapshots=Snapshots(data / "snapshots"), generation=generation)
        await runner.start()
        group = f"group {settings.group_prefix}-{name}" if settings.group_prefix else "no group"
        say(f"{name} runs: {_place(app)}broker {settings.bootstrap}, {group}, artifacts in {root}")
        try:
            await keep_ticking(runner.tick, runner.ended, SystemClock(), stopping, _TICK_SECONDS)
            say("stopping")
        finally:
            finished = await runner.stop()
    say("stopped")
    if not finished:
        leave()


def _place(app: "App") -> str:
    url = getattr(app, "url", None)
    return f"listens on {url}/v1, " if url else ""


async def _app(name: str, bus: "Bus", root: str, data: Path, rules: Rules, opened: contextlib.AsyncExitStack) -> "App":
    """The service, composed from its settings; what it opens is closed with `opened`."""
    from understudies.events import new_id
    from understudies.students import Files, Shelf

    files, clock = Files(root), SystemClock()
    if name == "observer":
        from understudies import observer
        from understudies.runtime import Store

        store = await Store.open(_store_url(data))
        opened.push_async_callback(store.close)
        settings = observer.ObserverSettings()
        return observer.create_app(settings, bus=bus, clock=clock, store=store, files=files, new_id=new_id)
    if name == "evaluator":
        from understudies import evaluator

        return evaluator.create_app(
            evaluator.EvaluatorSettings(), bus=bus, files=files, shelf=Shelf(files), rules=rules, new_id=new_id
        )
    if name == "trainer":
        from understudies import trainer

        settings_ = trainer.TrainerSettings()
        return trainer.create_app(settings_, bus=bus, clock=clock, files=files, new_id=new_id, rules=rules)
    if name == "budget":
        from understudies import budget

        return budget.create_app(budget.BudgetSettings(), bus=bus, rules=rules, new_id=new_id)
    from understudies import router

    critical = frozenset(task for task, rule in rules.tasks.items() if rule.critical)
    chosen = router.RouterSettings()
    chosen = chosen.model_copy(
        update={
            "critical_tasks": chosen.critical_tasks | critical,
            "port": 8080 if chosen.port is None else chosen.port,
        }
    )
    return router.create_app(chosen, bus=bus, clock=clock, files=files, new_id=new_id)


def _store_url(data: Path) -> str:
    """The store of the settings; without one, the data folder's, which is kept."""
    settings = StoreSettings()
    return settings.url.get_secret_value() if "url" in settings.model_fields_set else f"chdb://{data / 'store'}"
