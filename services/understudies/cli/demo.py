"""Implement `understudies demo`: run the backtest on two weeks of generated calls."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from understudies.cli.backtest import run_backtest, trainer_settings
from understudies.cli.options import DEFAULT_CONSOLE_PORT, ServeOption, ServePortOption
from understudies.cli.process import report_errors
from understudies.runtime.errors import ConfigurationError

_KINDS_WITH_LORA: Final = "classifier,extractor,lora"


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the calls and the reports.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the generated calls.")] = 7,
    lora: Annotated[
        str | None,
        typer.Option(
            help="Also train LoRA students, on this base model (a folder, a GGUF file, or a hub id); that takes hours.",
            show_default="no LoRA students",
        ),
    ] = None,
    serve: ServeOption = False,
    port: ServePortOption = DEFAULT_CONSOLE_PORT,
) -> None:
    """Generate two weeks of an agent's calls and backtest them: no keys, no network, about a minute."""
    from understudies.backtest.generator.demo_log import generate_demo_log

    with report_errors():
        _create_folder(folder)
        calls = folder / "calls.jsonl"
        generate_demo_log(calls, seed=seed)
        Console().print(f"wrote {calls}: two weeks of an agent's calls, five tasks", markup=False, highlight=False)
        run_backtest(
            calls,
            json_path=folder / "report.json",
            html_path=folder / "report.html",
            trainer=None if lora is None else trainer_settings(_KINDS_WITH_LORA, lora, None),
            seed=seed,
            serve=port if serve else None,
        )


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot create the folder {str(folder)!r}: {error.strerror or error}") from error
