"""One log with every ending, played once in this process and once as a command of its own."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from tests.support.backtest_runs import (
    MIN_EXAMPLES,
    RULES,
    BacktestRun,
    BacktestTwins,
    run_small_backtest,
    write_every_ending,
)

RULES_TOML = '[tasks."by-rule"]\ncritical = true\n'


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> BacktestTwins:
    folder = tmp_path_factory.mktemp("twins")
    calls = write_every_ending(folder / "calls.jsonl")
    (folder / "rules.toml").write_text(RULES_TOML)
    # The command runs beside the play in this process: the machine has more than one core.
    with (folder / "output").open("wb") as output, subprocess.Popen(_command(calls, folder), stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=_environment()) as command:  # fmt: skip
        here = run_small_backtest(calls, rules=RULES)
        code = command.wait()
    said = (folder / "output").read_text()
    assert code == 0, said
    return BacktestTwins(
        here, said, orjson.loads((folder / "report.json").read_bytes()), (folder / "report.html").read_text()
    )


@pytest.fixture(scope="session")
def everything(twins: BacktestTwins) -> BacktestRun:
    return twins.in_process


def _command(calls: Path, folder: Path) -> list[str]:
    options = {
        "--json": folder / "report.json",
        "--html": folder / "report.html",
        "--rules": folder / "rules.toml",
        "--critical": "by-option",
        "--min-examples": MIN_EXAMPLES,
    }
    given = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-W", "error::ResourceWarning", "-m", "understudies.cli", "backtest", str(calls), *given]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDIES_")}
    chosen = {
        "PYTHONHASHSEED": "1",
        "UNDERSTUDIES_BUDGET_PATIENCE_HOURS": "0",
        "UNDERSTUDIES_BUDGET_GROWTH": "3",
        # As on a machine with one core; this process takes as many threads as there are cores.
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    return {**kept, **chosen}
