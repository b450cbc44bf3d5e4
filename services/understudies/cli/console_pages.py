"""Put together the console of a platform, and serve it on a port of its own after a backtest."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from understudies.cli.options import status_access
from understudies.cli.process import print_line, stop_on_signal
from understudies.console.endpoint import create_pages, create_steering
from understudies.console.server import start_console
from understudies.console.source import ConsoleSource
from understudies.datasets.object_store import ObjectStore
from understudies.embedded.platform import Platform
from understudies.events import new_id
from understudies.observer.settings import ObserverSettings
from understudies.router.endpoints.admin import AdminHandler
from understudies.runtime.bus.bus import Bus
from understudies.runtime.clock import SystemClock
from understudies.runtime.health import ServiceHealth
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.store import Store
from understudies.status.access import StatusAccess
from understudies.status.decision import PublishDecision
from understudies.status.stored_standings import StoredStandings

_HOST = "127.0.0.1"
_ELSEWHERE = (
    "This console reads the store of the observer. Ledger, examples needed, and what a gate waits for are known to the "
    "budget and the evaluator: `understudies status --url BUDGET --url EVALUATOR --url OBSERVER` shows them, by the "
    "addresses that UNDERSTUDIES_ADMIN_PORT gives them. Evidence of gates is that of their last decision. People "
    "decide by `understudies steer ACTION TASK --bootstrap BROKER`."
)


def platform_source(platform: Platform, rules: Callable[[], Rules], *, steers: bool = True) -> ConsoleSource:
    """Return what the console of a platform reads, and whether people may steer it there."""
    config = platform.config
    return ConsoleSource(
        platform.status,
        platform.store,
        config.clock,
        rules,
        files=platform.status.files,
        services=platform.fetch_health,
        settings=(
            ("Budget", config.budget),
            ("Evaluator", config.evaluator),
            ("Trainer", config.trainer),
            ("Observer", config.observer),
            ("Router", config.router),
        ),
        steers=steers,
    )


def platform_pages(
    platform: Platform, access: StatusAccess, rules: Callable[[], Rules], publish: PublishDecision
) -> Mapping[str, AdminHandler]:
    """Return the handlers of the console, of the status as JSON and of people's decisions, by path."""
    source = platform_source(platform, rules)
    steering = create_steering(platform.status, access, source, new_id, publish)
    return {**create_pages(source, access), **steering}


def observer_pages(
    settings: ObserverSettings, bus: Bus, store: Store, files: ObjectStore, rules: RulesSource
) -> Mapping[str, AdminHandler]:
    """Return the handlers of the console of an observer that runs alone, by path: it reads, and steers nothing."""

    async def fetch_health() -> list[ServiceHealth]:
        committed, ends = await bus.fetch_committed_offsets(), bus.known_end_offsets()
        return [ServiceHealth("observer", sum(max(0, end - committed.get(where, 0)) for where, end in ends.items()))]

    source = ConsoleSource(
        StoredStandings(store, rules, "the store of the observer"),
        store,
        SystemClock(),
        rules.current,
        files=files,
        services=fetch_health,
        settings=(("Observer", settings),),
        steers=False,
        elsewhere=_ELSEWHERE,
    )
    access = status_access(settings.console_host, rules=rules.current)
    return create_pages(source, access)


async def serve_result(platform: Platform, rules: Rules, port: int) -> None:
    """Serve the console of a played platform on this machine, until SIGTERM or Ctrl-C."""
    stopping = stop_on_signal()
    access = status_access(_HOST, rules=lambda: rules)
    source = platform_source(platform, lambda: rules, steers=False)
    ended = replace(platform.status, source="a backtest, at the end of its log")
    source = replace(source, standings=ended, is_live=False)
    server = await start_console(create_pages(source, access), _HOST, port)
    print_line(f"the console shows this backtest at {server.url}/ until Ctrl-C")
    waiting = asyncio.ensure_future(stopping.wait())
    try:
        await waiting
    finally:
        waiting.cancel()
        await server.stop()
