"""`understudies up`: all five services as one long-lived process."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudies.cli.failure import told
from understudies.cli.options import DATA, RulesFile, check_teacher_url, settings_from
from understudies.cli.process import leave, run, say, stopping_by_signal
from understudies.runtime import BusSettings, StoreSettings
from understudies.runtime.folder import data_folder
from understudies.runtime.logs import log_to_stderr
from understudies.runtime.reload import RulesSource

if TYPE_CHECKING:
    from understudies.router import RouterSettings

EPILOG = """
Examples:

  understudies up --port 8080 --teacher-url https://api.openai.com/v1 --data ./understudies-data

  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 python my_agent.py

  understudies up --rules understudies.toml      with its teachers, tenants and budgets
"""


def up(
    teacher_url: Annotated[
        str | None,
        typer.Option(
            help="OpenAI-compatible base URL of the teacher; not needed where the rules have teachers.",
            show_default="UNDERSTUDIES_ROUTER_TEACHER_URL",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port that the router listens on; 0 takes any free one.", min=0, max=65535)
    ] = 8080,
    host: Annotated[str, typer.Option(help="Address that the router listens on.")] = "127.0.0.1",
    data: Annotated[Path, typer.Option(help="Folder for store, artifacts and snapshots.")] = DATA,
    rules: RulesFile = None,
    tick_seconds: Annotated[float, typer.Option(help="Seconds between decisions and snapshots.", min=0.05)] = 1.0,
) -> None:
    """Run router, observer, evaluator, trainer and budget in one process, until SIGTERM or Ctrl-C.

    What is in force survives a restart and a kill: promotions, gates, drift and ledger come back from the data folder.
    SIGTERM finishes the calls in flight and stores them. A kill of the process can lose the record of calls answered
    in its last second, as they are not stored yet; all that is stored is counted, and counted once.

    The embedded broker keeps all events in memory until the process ends: it grows by about the size of the requests
    and answers recorded. Restart it now and then, or name a Kafka broker in UNDERSTUDIES_BUS_BOOTSTRAP. A ClickHouse
    that is named in UNDERSTUDIES_STORE_URL takes the place of the store in the data folder.
    """
    from understudies.router import RouterSettings

    log_to_stderr()
    with told():
        if teacher_url is not None:
            check_teacher_url(teacher_url)
        source = RulesSource(path=rules)
        router = settings_from(RouterSettings, teacher_url=teacher_url, host=host, port=port)
        if router.teacher_url is None and not source.current().teachers:
            raise typer.BadParameter(
                "give the teacher's base URL, or --rules with a table [teachers.NAME]", param_hint="'--teacher-url'"
            )
        with data_folder(data.resolve(), "up"):
            run(_run(router, data.resolve(), source, tick_seconds))


async def _run(router: "RouterSettings", data: Path, rules: RulesSource, tick_seconds: float) -> None:
    from understudies.embedded import Plan, Platform
    from understudies.runtime.garbage import settle

    stopping = stopping_by_signal()
    bus, store = _bus(), _store_url()
    platform = Platform(Plan(folder=data, rules=rules, router=router, bus=bus, store_url=store))
    async with rules.watching(), platform:
        settle()
        teacher = router.teacher_url or ", ".join(rules.current().teachers)
        say(f"router listens on {platform.router.url}/v1, teacher {teacher}, data in {data}{_elsewhere(bus, store)}")
        await platform.live(stopping, tick_seconds)
        say("stopping: calls in flight are finished and stored")
    say("stopped")
    if platform.abandoned:
        leave()


def _bus() -> BusSettings | None:
    """The broker of the settings; None where an embedded one is to be started."""
    settings = settings_from(BusSettings)
    if not settings.bootstrap:
        return None
    # What snapshots say of offsets holds for this broker alone.
    return settings.model_copy(update={"generation": settings.generation or settings.bootstrap})


def _store_url() -> str | None:
    """The store of the settings; None for the data folder's."""
    settings = settings_from(StoreSettings)
    return settings.url.get_secret_value() if "url" in settings.model_fields_set else None


def _elsewhere(bus: BusSettings | None, store: str | None) -> str:
    """What is not in this process, in words; without the store's password."""
    named = [f"broker {bus.bootstrap}"] if bus else []
    if store:
        scheme, _, rest = store.partition("://")
        named.append(f"store {scheme}://{rest.rpartition('@')[2]}")
    return "".join(f", {name}" for name in named)
