"""One service alone: its broker, its rules, its snapshots, until it is told to stop."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from understudies.cli.options import settings_from
from understudies.cli.process import leave, say, stopping_by_signal
from understudies.runtime import BusSettings, ConfigurationError, SystemClock
from understudies.runtime.reload import RulesSource

if TYPE_CHECKING:
    from understudies.runtime import Bus
    from understudies.runtime.runner import App
    from understudies.students import Files

Compose = Callable[["Bus", "Files", contextlib.AsyncExitStack], Awaitable["App"]]
"""Makes the service; what it opens is closed with the stack."""

_TICK_SECONDS = 1.0


def broker(name: str, bootstrap: str | None) -> BusSettings:
    """The settings of the bus; raises ConfigurationError where they name no broker."""
    settings = settings_from(BusSettings, bootstrap=bootstrap)
    if not settings.bootstrap:
        raise ConfigurationError(
            f"{name} alone needs a broker: give --bootstrap HOST:PORT or set UNDERSTUDIES_BUS_BOOTSTRAP; "
            "`understudies up` runs all services with an embedded one"
        )
    return settings


def root_of(data: Path, artifacts: str | None) -> str:
    """The root URL of datasets and artifacts."""
    return artifacts or f"file://{data / 'artifacts'}"


async def run_alone(
    name: str, settings: BusSettings, *, data: Path, root: str, rules: RulesSource, compose: Compose
) -> None:
    """Run a service until SIGTERM or Ctrl-C, and say what it runs against."""
    from understudies.runtime import Bus, Snapshots, Telemetry, TelemetrySettings
    from understudies.runtime.garbage import settle
    from understudies.runtime.runner import Runner, keep_ticking
    from understudies.students import Files

    stopping = stopping_by_signal()
    async with contextlib.AsyncExitStack() as opened:
        await opened.enter_async_context(rules.watching())
        telemetry = Telemetry(settings_from(TelemetrySettings), name)
        opened.callback(telemetry.shutdown)
        bus = Bus(settings, name, tracer=telemetry.tracer)
        app = await compose(bus, Files(root), opened)
        generation = settings.generation or settings.bootstrap or ""
        runner = Runner(app, bus, snapshots=Snapshots(data / "snapshots"), generation=generation)
        await runner.start()
        settle()
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
