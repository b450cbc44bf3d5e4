"""Implement `understudies backtest`: report the savings on recorded calls."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from understudies.cli.options import DEFAULT_CONSOLE_PORT, ServeOption, ServePortOption, check_port
from understudies.cli.process import report_errors
from understudies.cli.report_text import print_report
from understudies.cli.training_progress import training_progress
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.settings import settings_from

if TYPE_CHECKING:
    from understudies.backtest.report.report import BacktestReport
    from understudies.embedded.platform import Platform
    from understudies.importers.field_map import FieldMap
    from understudies.trainer.settings import TrainerSettings

EPILOG = """
Examples:

  understudies backtest calls.jsonl

  understudies backtest calls.jsonl.gz --teacher-price 0.03 --days 14 --json r.json --html r.html

  understudies backtest calls.jsonl --students classifier,extractor,lora --base ./SmolLM2-135M-Instruct

  understudies backtest litellm-logs.jsonl --critical refund-approval --rules understudies.toml

  understudies backtest calls.jsonl --serve      and look at it in the console

  understudies backtest own.csv --map messages=$.question --map answer=$.reply
"""
_MAX_PRICE_USD = 1_000_000


def backtest(
    calls: Annotated[
        Path,
        typer.Argument(
            help="Recorded calls: a file (JSON lines, CSV, Parquet, plain or gzipped), a folder, or a pattern.",
            show_default=False,
        ),
    ],
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
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML file.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Rules per task, such as understudies.toml.")] = None,
    critical: Annotated[
        list[str] | None, typer.Option(help="Task that must stay with the teacher; may be repeated.")
    ] = None,
    min_examples: Annotated[
        int | None, typer.Option(help="Distinct answered inputs before the first student.", min=20)
    ] = None,
    field_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="Where a field is in records of your own, such as messages=$.input; may be repeated."
        ),
    ] = None,
    students: Annotated[
        str | None,
        typer.Option(
            help="Kinds of student to try, cheapest first, such as classifier,extractor,lora.",
            show_default="UNDERSTUDIES_TRAINER_KINDS",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Base model of LoRA students: a folder, a GGUF file, or a hub id.",
            show_default="UNDERSTUDIES_LORA_BASE",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to train LoRA students: cpu, cuda or auto.", show_default="auto")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same file and seed give the same report.")] = 7,
    serve: ServeOption = False,
    port: ServePortOption = DEFAULT_CONSOLE_PORT,
) -> None:
    """Replay recorded calls through all five services, and report what would have been saved."""
    with report_errors():
        chosen = (read_rules(rules) if rules else Rules()).with_critical(frozenset(critical or ()))
        _check_writable(calls, json_path, html_path)
        run_backtest(
            calls,
            days=days,
            teacher_price=parse_price(teacher_price),
            json_path=json_path,
            html_path=html_path,
            rules=chosen,
            min_examples=min_examples,
            field_map=field_map or (),
            trainer=trainer_settings(students, base, device),
            seed=seed,
            serve=port if serve else None,
        )


def run_backtest(
    calls: Path,
    *,
    days: float | None = None,
    teacher_price: Decimal | None = None,
    json_path: Path | None = None,
    html_path: Path | None = None,
    rules: Rules | None = None,
    min_examples: int | None = None,
    field_map: Sequence[str] = (),
    trainer: "TrainerSettings | None" = None,
    seed: int = 7,
    serve: int | None = None,
) -> None:
    """Run a backtest with progress, print its table, write its files; serve the console on a port if given.

    Raises ConfigurationError at once, rather than after the run, for a port that is in use.
    """
    # Imported here so that `--help` responds at once: these modules import numpy, scikit-learn and the engine.
    from understudies.backtest.progress import ProgressDisplay
    from understudies.backtest.run import BacktestOptions, backtest_log
    from understudies.budget.settings import BudgetSettings
    from understudies.trainer.settings import TrainerSettings

    if serve:
        check_port(serve)
    budget = settings_from(BudgetSettings, min_examples=min_examples)
    options = BacktestOptions(
        days=days,
        teacher_price=teacher_price,
        seed=seed,
        field_map=parse_map(field_map),
        rules=rules or Rules(),
        budget=budget,
        trainer=trainer or settings_from(TrainerSettings),
    )
    console = Console()
    shown = ExitStack()
    progress = shown.enter_context(ProgressDisplay(console))
    shown.enter_context(training_progress(console))

    async def present(platform: "Platform", report: "BacktestReport") -> None:
        shown.close()
        print_report(console, report, options.rules, json_path, html_path)
        if serve is not None:
            from understudies.cli.console_pages import serve_result

            await serve_result(platform, options.rules, serve)

    with shown:
        asyncio.run(backtest_log(calls, options, progress, on_end=present))


def trainer_settings(students: str | None, base: str | None, device: str | None) -> "TrainerSettings":
    """Return the settings of the trainer with the kinds of student and the base model of the options."""
    from understudies.trainer.lora.settings import LoraTrainingSettings
    from understudies.trainer.settings import TrainerSettings

    lora = settings_from(LoraTrainingSettings, base=base, device=device)
    if students is None:
        return settings_from(TrainerSettings, lora=lora)
    kinds = tuple(kind.strip() for kind in students.split(",") if kind.strip())
    known = ("cache", "decision", "classifier", "extractor", "lora", "few_shot", "prompt_optimised", "api_fine_tune")
    if not kinds or not set(kinds) <= set(known):
        raise ConfigurationError(f"--students must name some of {', '.join(known)}, got {students!r}")
    if "lora" in kinds and lora.base is None:
        raise ConfigurationError("LoRA students need a base model: give --base FOLDER, or set UNDERSTUDIES_LORA_BASE")
    settings = settings_from(TrainerSettings, lora=lora, kinds=kinds)
    named = {
        "decision": (settings.decision_endpoint, "UNDERSTUDIES_TRAINER_DECISION_ENDPOINT"),
        "prompt_optimised": (settings.prompts.endpoint, "UNDERSTUDIES_PROMPTS_ENDPOINT"),
        "api_fine_tune": (settings.fine_tuning.endpoint, "UNDERSTUDIES_FINE_TUNING_ENDPOINT"),
    }
    for kind, (endpoint, variable) in named.items():
        if kind in kinds and endpoint is None:
            raise ConfigurationError(f"{kind} students need an endpoint: set {variable}")
    return settings


def parse_price(text: str | None) -> Decimal | None:
    """Return the dollars of --teacher-price; raises ConfigurationError."""
    if text is None:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and 0 <= price <= _MAX_PRICE_USD):
        raise ConfigurationError(f"--teacher-price must be US dollars per call such as 0.03, got {text!r}")
    return price


def parse_map(written: Sequence[str]) -> "FieldMap | None":
    """Return the fields of --map; raises ConfigurationError."""
    from understudies.importers.field_map import FieldMap

    try:
        return FieldMap.parse(written)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _check_writable(calls: Path, *paths: Path | None) -> None:
    """Raise ConfigurationError for an unwritable path before a long replay rather than after it."""
    for path in paths:
        if path is None:
            continue
        folder = path.absolute().parent
        if not folder.is_dir():
            raise ConfigurationError(f"cannot write {str(path)!r}: the folder {str(folder)!r} does not exist")
        if path.is_dir():
            raise ConfigurationError(f"cannot write {str(path)!r}: it is a folder")
        if path.resolve() == calls.resolve():
            raise ConfigurationError(f"cannot write {str(path)!r}: it contains the recorded calls")
