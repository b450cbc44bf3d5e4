"""Implement `understudies import`: put recorded calls into an installation, so that training begins at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from understudies.cli.options import DEFAULT_DATA_DIR, RulesOption, check_source, external_store_url, running_process
from understudies.cli.process import report_errors
from understudies.cli.progress_lines import ProgressLines
from understudies.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from understudies.importers.field_map import FieldMap
    from understudies.importers.recorded_call import ParsedLog, RecordedCall
    from understudies.runtime.bus.bus import Bus
    from understudies.runtime.store import Store
    from understudies.status.running import RunningProcess
    from understudies.warm_start.call_sink import CallSink
    from understudies.warm_start.counts import ImportCounts
    from understudies.warm_start.recorded_log import PreparedLog

EPILOG = """
Examples:

  understudies import calls.jsonl                        into ./understudies-data, beside a running `up` or before it

  understudies import litellm-logs.jsonl.gz --url http://127.0.0.1:8080

  understudies import own.csv --map messages=$.question --map answer=$.reply --teacher-price 0.002

  understudies import calls.jsonl --bootstrap kafka:9092            for single services; needs UNDERSTUDIES_STORE_URL
"""
_BATCH_CALLS: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024
_HAS_TABLES: Final = "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'invocations'"
_MAX_REASONS: Final = 10
_MAX_TASKS: Final = 20

_Add = Callable[[Sequence[bytes]], Awaitable["ImportCounts"]]
"""Adds a batch of calls; returns once they are stored."""


def import_calls(
    calls: Annotated[
        Path,
        typer.Argument(
            help="Recorded calls: a file (JSON lines, CSV, Parquet, plain or gzipped), a folder, or a pattern.",
            show_default=False,
        ),
    ],
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
        typer.Option(help="Kafka broker of single services, HOST:PORT; their store: UNDERSTUDIES_STORE_URL."),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(
            help="Spread the calls over this many days.", min=0.1, max=3660, show_default="recorded times, else 14"
        ),
    ] = None,
    teacher_price: Annotated[
        str | None,
        typer.Option(help="US dollars per teacher call.", show_default="as recorded, else by model, else 0.03"),
    ] = None,
    field_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="Where a field is in records of your own, such as messages=$.input; may be repeated."
        ),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant that made the calls.")] = "default",
    rules: RulesOption = None,
) -> None:
    """Import recorded calls, so that training begins at once; importing them again adds nothing.

    They count for training and for the forecast of calls. They are no evidence for a promotion, which the calls to
    come give, unless they are younger than UNDERSTUDIES_IMPORT_EVIDENCE_HOURS. Personal data is redacted by the rules
    of the installation (--rules, if it does not run).
    """
    from understudies.cli.backtest import parse_map, parse_price

    with report_errors():
        if url is not None and bootstrap is not None:
            raise ConfigurationError("give --url or --bootstrap, not both")
        price, mapped = parse_price(teacher_price), parse_map(field_map or ())
        check_source(calls)
        console = Console(soft_wrap=True)
        target = _open_target(data.resolve(), url, bootstrap, rules)
        asyncio.run(_import(console, target, lambda: _read(calls, mapped, days, tenant, price)))


async def _import(
    console: Console,
    target: AbstractAsyncContextManager[_Add],
    read: Callable[[], tuple["ParsedLog", "PreparedLog"]],
) -> None:
    from understudies.warm_start.counts import ImportCounts
    from understudies.warm_start.recorded_log import batches

    async with target as add:
        with console.status("reading the calls"):
            parsed, prepared = await asyncio.to_thread(read)
        counts, done, total = ImportCounts(), 0, len(prepared.invocations)
        progress = ProgressLines(console)
        for batch in batches(prepared.invocations, _BATCH_CALLS, _BATCH_BYTES):
            counts += await add(batch)
            done += len(batch)
            progress.show(f"{done:,} of {total:,} calls imported")
    _report(console, parsed, prepared, counts)


def _read(
    path: Path, field_map: "FieldMap | None", days: float | None, tenant: str, price: Decimal | None
) -> tuple["ParsedLog", "PreparedLog"]:
    from understudies.backtest.replay.outliers import clear_outlier_times
    from understudies.backtest.replay.schedule import DEFAULT_DAYS, assign_times, start_of_utc_day
    from understudies.backtest.skip_summary import describe_empty_log
    from understudies.importers.reader import read_calls
    from understudies.warm_start.recorded_log import prepare_log

    now = datetime.now(UTC)

    def place(calls: "Sequence[RecordedCall]") -> "list[tuple[datetime, RecordedCall]]":
        """Give the calls the times that a backtest gives them; without any, those of the days before this one."""
        has_times = any(call.at for call in calls)
        start = None if has_times else start_of_utc_day(now) - timedelta(days=days or DEFAULT_DAYS)
        return assign_times(calls, days, start)

    try:
        parsed = read_calls(path, field_map)
    except OSError as error:
        raise ConfigurationError(f"cannot read the calls in {str(path)!r}: {error.strerror or error}") from error
    if not parsed.calls:
        raise ConfigurationError(describe_empty_log(path, parsed))
    prepared = prepare_log(clear_outlier_times(parsed.calls), place, now, tenant=tenant, teacher_price=price)
    return parsed, prepared


def _open_target(
    folder: Path, url: str | None, bootstrap: str | None, rules: Path | None
) -> AbstractAsyncContextManager[_Add]:
    """Return what opens the installation that takes the calls."""
    if url is not None:
        return _remote(running_process(url))
    if bootstrap is not None:
        return _services(bootstrap, rules)
    from understudies.runtime.process import is_locked
    from understudies.status.running import read_announcement

    if is_locked(folder, "up"):
        return _remote(read_announcement(folder))
    return _stopped(folder, rules)


@asynccontextmanager
async def _remote(process: "RunningProcess") -> AsyncIterator[_Add]:
    yield lambda lines: asyncio.to_thread(process.add_calls, lines)


@asynccontextmanager
async def _stopped(folder: Path, rules: Path | None) -> AsyncIterator[_Add]:
    """Open the store of a folder on which nothing runs: whatever starts on it next folds what was stored."""
    from understudies.runtime.process import lock_data_dir
    from understudies.runtime.settings import BusSettings, settings_from
    from understudies.runtime.store import Store

    if settings_from(BusSettings).bootstrap:
        raise ConfigurationError(
            "UNDERSTUDIES_BUS_BOOTSTRAP names a broker, so `understudies up` reads what that holds: start it before "
            "the import, or give --bootstrap"
        )
    with lock_data_dir(folder, "up"):
        store = await Store.open(external_store_url() or f"chdb://{folder / 'store'}")
        try:
            await store.migrate()
            yield _create_sink(store, None, rules).add
        finally:
            await store.close()


@asynccontextmanager
async def _services(bootstrap: str, rules: Path | None) -> AsyncIterator[_Add]:
    """Open the broker and the store of single services."""
    from understudies.runtime.bus.kafka_bus import KafkaBus
    from understudies.runtime.settings import BusSettings, settings_from
    from understudies.runtime.store import Store

    store_url = external_store_url()
    if store_url is None:
        raise ConfigurationError(
            "set UNDERSTUDIES_STORE_URL to the store of the services, which tells what was imported before"
        )
    bus = KafkaBus(settings_from(BusSettings, bootstrap=bootstrap), "import")
    store = await Store.open(store_url)
    try:
        if not await store.query(_HAS_TABLES):
            raise ConfigurationError("the store has no tables yet: start the observer, which makes them, and try again")
        await bus.start()
        try:
            yield _create_sink(store, bus, rules).add
        finally:
            await bus.stop()
    finally:
        await store.close()


def _create_sink(store: "Store", bus: "Bus | None", rules: Path | None) -> "CallSink":
    from understudies.runtime.rules.source import RulesSource
    from understudies.runtime.settings import settings_from
    from understudies.warm_start.call_sink import CallSink
    from understudies.warm_start.settings import ImportSettings

    return CallSink(
        settings_from(ImportSettings),
        store=store,
        bus=bus,
        rules=RulesSource(path=rules),
        now=lambda: datetime.now(UTC),
    )


def _report(console: Console, parsed: "ParsedLog", prepared: "PreparedLog", counts: "ImportCounts") -> None:
    """Print what was imported, of which tasks, and what was skipped, and why."""
    from understudies.backtest.report.formatting import format_quantity
    from understudies.backtest.skip_summary import count_reasons

    tasks = Counter(invocation.task for invocation in prepared.invocations)
    lines = [f"imported {format_quantity(counts.added, 'call')}; {counts.known:,} were there already"]
    if counts.added:
        lines.append(f"  {counts.evidence:,} of them may be evidence, all of them train")
    lines += [f"  {task}: {format_quantity(count, 'call')}" for task, count in tasks.most_common(_MAX_TASKS)]
    if len(tasks) > _MAX_TASKS:
        lines.append(f"  and {len(tasks) - _MAX_TASKS:,} more tasks")
    if counts.too_large:
        lines.append(f"{format_quantity(counts.too_large, 'call')} not imported: larger than an event may be")
    if prepared.undated:
        lines.append(f"{format_quantity(prepared.undated, 'call')} without a plausible time: for training alone")
    skipped = [*parsed.skipped, *prepared.skipped]
    if skipped:
        lines.append(f"{format_quantity(len(skipped), 'line')} skipped:")
    lines += [
        f"  {reason.count:,}: {reason.first.reason} ({reason.first.place})"
        for reason in count_reasons(skipped)[:_MAX_REASONS]
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)
