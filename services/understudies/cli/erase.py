"""Implement `understudies erase`: remove a tenant's or a request's calls, and what was made of them."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudies.cli.options import DEFAULT_DATA_DIR, ArtifactsOption, external_store_url, running_process
from understudies.cli.process import print_line, report_errors
from understudies.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from understudies.datasets.object_store import ObjectStore
    from understudies.erasure.erasure import Eraser
    from understudies.erasure.request import ErasureReport, ErasureRequest
    from understudies.events import Promotion
    from understudies.runtime.store import Store
    from understudies.status.running import RunningProcess

EPILOG = """
Examples:

  understudies erase --tenant acme --why "contract ended"                 shows what would go, changes nothing

  understudies erase --tenant acme --why "contract ended" --yes

  understudies erase --fingerprint 9f86d081884c7d65… --why "request of the data subject" --yes --url http://127.0.0.1:8080

  understudies erase --tenant acme --why "contract ended" --yes --bootstrap kafka:9092 --artifacts s3://bucket/root
"""
_MAX_NAMED: Final = 20

_Erase = Callable[["ErasureRequest"], Awaitable["ErasureReport"]]


def erase(
    why: Annotated[str, typer.Option(help="Why; kept with the erasure.", show_default=False)],
    tenant: Annotated[str, typer.Option(help="Tenant whose calls go.", show_default=False)] = "",
    fingerprint: Annotated[
        str, typer.Option(help="Fingerprint of a request, as recorded; with --tenant, of that tenant alone.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, show what would go.")] = False,
    by: Annotated[str | None, typer.Option(help="Who erases.", show_default="the user of this machine")] = None,
    data: Annotated[Path, typer.Option(help="Data folder of `understudies up`, running or not.")] = DEFAULT_DATA_DIR,
    url: Annotated[
        str | None,
        typer.Option(
            help="Base URL of a running `understudies up`; its key: UNDERSTUDIES_STATUS_STEERING_KEY.",
            show_default="found by the data folder",
        ),
    ] = None,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            help="Kafka broker of single services, HOST:PORT; their store: UNDERSTUDIES_STORE_URL, their Redis: "
            "UNDERSTUDIES_ONLINE_URL."
        ),
    ] = None,
    artifacts: ArtifactsOption = None,
) -> None:
    """Erase the calls of a tenant or of a request; without --yes, show what that would remove.

    Calls, verdicts about them and people's notes go from the store, with the datasets that hold them, the artifacts of
    students that have ended, and all cached answers. Students that learned from them and may still serve are named, and
    new ones are asked for; run it again once those serve, to remove the artifacts of the old. It is recorded by whom,
    when and why. Kafka keeps events for its own retention, and backups are yours to remove.
    """
    from pydantic import ValidationError

    from understudies.erasure.request import ErasureRequest, describe_problems

    with report_errors():
        try:
            request = ErasureRequest(
                tenant=tenant, fingerprint=fingerprint, by=by or getpass.getuser(), why=why, execute=yes
            )
        except ValidationError as error:
            raise ConfigurationError(describe_problems(error)) from None
        report = asyncio.run(_run(_open_target(data.resolve(), url, bootstrap, artifacts), request))
        for line in _lines(report):
            print_line(line)


async def _run(target: AbstractAsyncContextManager[_Erase], request: "ErasureRequest") -> "ErasureReport":
    async with target as run:
        return await run(request)


def _open_target(
    folder: Path, url: str | None, bootstrap: str | None, artifacts: str | None
) -> AbstractAsyncContextManager[_Erase]:
    """Return what opens the installation."""
    from understudies.runtime.process import is_locked
    from understudies.status.running import read_announcement

    if url is not None and bootstrap is not None:
        raise ConfigurationError("give --url or --bootstrap, not both")
    if url is not None:
        return _remote(running_process(url))
    if bootstrap is not None:
        return _services(bootstrap, artifacts)
    return _remote(read_announcement(folder)) if is_locked(folder, "up") else _stopped(folder)


@asynccontextmanager
async def _remote(process: "RunningProcess") -> AsyncIterator[_Erase]:
    yield lambda request: asyncio.to_thread(process.erase, request)


@asynccontextmanager
async def _stopped(folder: Path) -> AsyncIterator[_Erase]:
    """Open a folder on which nothing runs: what starts on it next reads the requests for new students there."""
    from understudies.datasets.object_store import ObjectStore
    from understudies.events import encode
    from understudies.runtime.process import lock_data_dir
    from understudies.runtime.store import Store

    if external_store_url() is None and not (folder / "store").is_dir():
        raise ConfigurationError(
            f"there is no store in {str(folder)!r}: name the data folder with --data, or give --url or --bootstrap"
        )
    with lock_data_dir(folder, "up"):
        store = await Store.open(external_store_url() or f"chdb://{folder / 'store'}")
        try:
            await store.migrate()

            async def keep(event: "Promotion") -> None:
                await store.insert("promotions", [encode(event)])

            async with _eraser(store, ObjectStore(f"file://{folder / 'artifacts'}"), keep) as eraser:
                yield eraser.run
        finally:
            await store.close()


@asynccontextmanager
async def _services(bootstrap: str, artifacts: str | None) -> AsyncIterator[_Erase]:
    """Open the broker, the store and the artifacts of single services."""
    from understudies.datasets.object_store import ObjectStore
    from understudies.runtime.bus.kafka_bus import KafkaBus
    from understudies.runtime.settings import BusSettings, settings_from
    from understudies.runtime.store import Store

    store_url = external_store_url()
    if store_url is None or artifacts is None:
        raise ConfigurationError("set UNDERSTUDIES_STORE_URL, and give --artifacts, the root that all services share")
    bus = KafkaBus(settings_from(BusSettings, bootstrap=bootstrap), "erasure")
    store = await Store.open(store_url)
    try:
        await store.migrate()
        await bus.start()
        try:
            async with _eraser(store, ObjectStore(artifacts), bus.publish) as eraser:
                yield eraser.run
        finally:
            await bus.stop()
    finally:
        await store.close()


@asynccontextmanager
async def _eraser(
    store: "Store", files: "ObjectStore", publish: Callable[["Promotion"], Awaitable[None]]
) -> AsyncIterator["Eraser"]:
    from understudies.erasure.erasure import Eraser
    from understudies.events import new_id
    from understudies.runtime.clock import SystemClock
    from understudies.runtime.online.factory import create_online_state
    from understudies.runtime.settings import OnlineSettings, settings_from

    settings = settings_from(OnlineSettings)
    online = create_online_state(settings.url.get_secret_value(), timeout_s=settings.timeout_s)
    try:
        yield Eraser(store=store, files=files, online=online, publish=publish, clock=SystemClock(), new_id=new_id)
    finally:
        await online.close()


def _lines(report: "ErasureReport") -> list[str]:
    """Return what was erased, or would be, line by line."""
    done = report.id is not None
    tasks = ", ".join(f"{task} {count:,}" for task, count in list(report.tasks.items())[:_MAX_NAMED])
    lines = [
        f"{'erased' if done else 'would erase'} {report.calls:,} calls{f' ({tasks})' if tasks else ''}, "
        f"{report.verdicts:,} verdicts, {report.marks:,} notes, {len(report.datasets):,} datasets, "
        f"{len(report.artifacts):,} artifacts of ended students, and all cached answers"
    ]
    lines += [f"learned from them: {one.name}, {one.stage}" for one in report.students]
    if report.retrained:
        lines.append(f"new students {'are' if done else 'would be'} asked for: {', '.join(report.retrained)}")
    if not done:
        return [*lines, "nothing was changed: --yes erases"]
    if report.retrained:
        lines.append("run this again once they serve: the artifacts of those that may serve until then are kept")
    return [*lines, f"recorded as erasure {report.id}"]
