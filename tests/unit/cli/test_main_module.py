"""The console script, with and without the packages that the command line needs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = "from understudies.cli.__main__ import main; main()"


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(ROOT / root) for root in ("schemas", "services"))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("module", ["typer", "rich", "pydantic_settings"])
def test_without_its_packages_it_names_the_extra_to_install(module: str) -> None:
    # A module that is None in sys.modules cannot be imported, as if it were not installed.
    found = run(f"import sys; sys.modules[{module!r}] = None; {SCRIPT}", "--version")
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr == (
        "understudies: the command line needs more than the base install, which is only the client "
        f"(no module {module!r}); install it with: pip install 'understudies[embedded]'\n"
    )


def test_a_missing_module_of_the_project_is_no_missing_extra() -> None:
    found = run(f"import sys; sys.modules['understudies.cli.rules'] = None; {SCRIPT}", "--version")
    assert found.returncode == 1
    assert "ModuleNotFoundError" in found.stderr
    assert "understudies[embedded]" not in found.stderr


def test_with_its_packages_it_runs_the_command_line() -> None:
    found = run(SCRIPT, "--help")
    assert found.returncode == 0, found.stderr
    assert "backtest" in found.stdout


def test_it_is_the_console_script() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"understudies": "understudies.cli.__main__:main"}
