"""Implement `understudies status`: how every task stands, what it waits for, and what it saves."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from understudies.cli.options import DEFAULT_DATA_DIR, RulesOption, external_store_url, running_process
from understudies.cli.process import report_errors
from understudies.runtime.errors import ConfigurationError, RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from understudies.status.running import RunningProcess
    from understudies.status.standing import Overview, TaskStory

    StatusRead = Callable[[], Overview | TaskStory]

EPILOG = """
Examples:

  understudies status                       all tasks of ./understudies-data, beside a running `up` or after it

  understudies status ticket-triage         the whole story of one task

  understudies status --url http://127.0.0.1:8080 --json

  understudies status --url http://budget:9100 --url http://evaluator:9100 --url http://observer:9100
"""
_WATCH_SECONDS: Final = 2.0


def status(
    task: Annotated[str | None, typer.Argument(help="Task whose story is told.", show_default="all tasks")] = None,
    data: Annotated[Path, typer.Option(help="Data folder of `understudies up`.")] = DEFAULT_DATA_DIR,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="Base URL of a running `understudies up`, or of a single service (its admin port; a router's own "
            "port), then once for each; key: UNDERSTUDIES_STATUS_KEY.",
            show_default="found by the data folder",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every two seconds, until Ctrl-C.")] = False,
    rules: RulesOption = None,
) -> None:
    """Show how every task stands: its phase, what it waits for, agreement, share, and what it saves.

    Of a running `up` the status is asked; of a stopped one its data folder is read (with --rules, if it had any).
    """
    with report_errors():
        read = _remote_reader(task, url) if url else _folder_reader(task, data.resolve(), rules)
        if watch:
            _watch(read, as_json=as_json)
        else:
            _print(read(), as_json=as_json)


def _remote_reader(task: str | None, urls: Sequence[str]) -> "StatusRead":
    from understudies.status.services import RunningServices

    processes = [running_process(url) for url in urls]
    if len(processes) == 1 and not processes[0].is_single_service():
        return lambda: _ask(processes[0], task)
    services = RunningServices(processes)
    return lambda: _require(services.overview() if task is None else services.story(task), task)


def _folder_reader(task: str | None, folder: Path, rules: Path | None) -> "StatusRead":
    """Return a reader that asks the process that uses the folder, or reads the folder while there is none.

    A folder that nobody uses does not change, so it is read once: whoever starts a process on it meanwhile needs it.
    """
    from understudies.runtime.process import is_locked
    from understudies.status.running import read_announcement

    saved: list[Overview | TaskStory] = []

    def read() -> "Overview | TaskStory":
        if is_locked(folder, "up"):
            saved.clear()
            return _ask(read_announcement(folder), task)
        if not saved:
            saved.append(asyncio.run(_read_saved(task, folder, rules)))
        return saved[0]

    return read


def _ask(process: "RunningProcess", task: str | None) -> "Overview | TaskStory":
    return _require(process.overview() if task is None else process.story(task), task)


async def _read_saved(task: str | None, folder: Path, rules: Path | None) -> "Overview | TaskStory":
    from understudies.runtime.process import lock_data_dir
    from understudies.runtime.rules.source import RulesSource
    from understudies.status.saved_services import open_saved_status

    store_url = external_store_url()
    if store_url is None and not (folder / "store").is_dir():
        raise ConfigurationError(
            f"there is no data of `understudies up` in {str(folder)!r}: name its folder with --data, or its --url"
        )
    now = datetime.now(UTC)
    with lock_data_dir(folder, "up"):
        async with open_saved_status(folder, RulesSource(path=rules), store_url=store_url) as reader:
            return _require(await reader.overview(now) if task is None else await reader.story(task, now), task)


def _require(found: "Overview | TaskStory | None", task: str | None) -> "Overview | TaskStory":
    if found is None:
        raise ConfigurationError(f"no call of a task {task!r} was recorded; `understudies status` lists all tasks")
    return found


def _print(found: "Overview | TaskStory", *, as_json: bool) -> None:
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        Console().print(_render(found), highlight=False)


def _render(found: "Overview | TaskStory") -> "RenderableType":
    from understudies.cli.status_text import render_overview, render_story
    from understudies.status.standing import Overview

    return render_overview(found) if isinstance(found, Overview) else render_story(found)


def _watch(read: "StatusRead", *, as_json: bool) -> None:
    """Show the status anew until Ctrl-C, through starts and stops; as JSON, one object a line."""
    if as_json:
        while True:
            try:
                typer.echo(read().model_dump_json())
            except RetryLater as error:
                typer.echo(str(error), err=True)
            time.sleep(_WATCH_SECONDS)
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(_render(read()), refresh=True)
            except RetryLater as error:
                live.update(Text(str(error)), refresh=True)
            time.sleep(_WATCH_SECONDS)
