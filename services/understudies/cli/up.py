"""`understudies up`: all five services as one long-lived process."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from understudies.cli.failure import told
from understudies.cli.logs import log_to_stderr
from understudies.cli.process import leave, say, stopping_by_signal
from understudies.runtime import ConfigurationError
from understudies.runtime.folder import data_folder
from understudies.runtime.rules import Rules, read_rules

EPILOG = """
Examples:

  understudies up --port 8080 --teacher-url https://api.openai.com/v1 --data ./understudies-data

  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 python my_agent.py
"""


def up(
    teacher_url: Annotated[str, typer.Option(help="OpenAI-compatible base URL of the teacher.", show_default=False)],
    port: Annotated[
        int, typer.Option(help="Port that the router listens on; 0 takes any free one.", min=0, max=65535)
    ] = 8080,
    host: Annotated[str, typer.Option(help="Address that the router listens on.")] = "127.0.0.1",
    data: Annotated[Path, typer.Option(help="Folder for store, artifacts and snapshots.")] = Path("understudies-data"),
    rules: Annotated[Path | None, typer.Option(help="Rules per task, such as understudies.toml.")] = None,
    tick_seconds: Annotated[float, typer.Option(help="Seconds between decisions and snapshots.", min=0.05)] = 1.0,
) -> None:
    """Run router, observer, evaluator, trainer and budget in one process, until SIGTERM or Ctrl-C.

    What is in force survives a restart and a kill: promotions, gates, drift and ledger come back from the data folder.
    SIGTERM finishes the calls in flight and stores them. A kill of the process can lose the record of calls answered
    in its last second, as they are not stored yet; all that is stored is counted, and counted once.

    The embedded broker keeps all events in memory until the process ends: it grows by about the size of the requests
    and answers recorded. Restart it now and then, or run the services one by one on a Kafka broker.
    """
    log_to_stderr()
    with told():
        _check(teacher_url)
        chosen = read_rules(rules) if rules else Rules()
        with data_folder(data.resolve(), "up"):
            asyncio.run(_run(teacher_url, host, port, data.resolve(), chosen, tick_seconds))


def _check(teacher_url: str) -> None:
    parts = urlsplit(teacher_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"--teacher-url {teacher_url!r} is no HTTP address; give a base URL such as https://api.openai.com/v1"
        )


async def _run(teacher_url: str, host: str, port: int, data: Path, rules: Rules, tick_seconds: float) -> None:
    from understudies.embedded import Plan, Platform
    from understudies.router import RouterSettings

    critical = frozenset(name for name, rule in rules.tasks.items() if rule.critical)
    router = RouterSettings(teacher_url=teacher_url, host=host, port=port, critical_tasks=critical)
    stopping = stopping_by_signal()
    platform = Platform(Plan(folder=data, rules=rules, router=router))
    async with platform:
        say(f"router listens on {platform.router.url}/v1, teacher {teacher_url}, data in {data}")
        await platform.live(stopping, tick_seconds)
        say("stopping: calls in flight are finished and stored")
    say("stopped")
    if platform.abandoned:
        leave()
