"""The option --partitioned, before anything runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.budget_harness import SETTINGS
from tests.support.capturing_bus import CapturingBus
from typer.testing import CliRunner

from understudies.budget.app import create_app
from understudies.cli import service as service_module
from understudies.cli.main import app
from understudies.events import SeededIds
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.service import Service
from understudies.status.parts import BudgetPart, OwnedPartitions

RUNNER = CliRunner()


@pytest.mark.parametrize("service", ["evaluator", "budget"])
def test_it_goes_without_standby(service: str, tmp_path: Path) -> None:
    words = [service, "--partitioned", "--standby", "--data", str(tmp_path), "--bootstrap", "127.0.0.1:1"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 2
    assert "--partitioned goes without --standby" in result.output


@pytest.mark.parametrize("service", ["observer", "trainer"])
def test_others_do_not_have_it(service: str) -> None:
    result = RUNNER.invoke(app, [service, "--partitioned"])
    assert result.exit_code == 2
    assert "No such option" in result.output


def test_it_needs_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_BUS_GROUP_PREFIX", "")
    result = RUNNER.invoke(app, ["budget", "--partitioned", "--data", str(tmp_path), "--bootstrap", "127.0.0.1:1"])
    assert result.exit_code == 2
    assert "UNDERSTUDIES_BUS_GROUP_PREFIX" in result.output


def test_a_process_that_stood_by_does_not_begin_without_the_state_that_was_dealt_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def wait_lock(folder: Path, user: str, **_: object) -> Iterator[None]:
        (folder / f"{user}.partitions.json").write_text("{}")
        yield

    monkeypatch.setattr(service_module, "lock_data_dir", wait_lock)
    words = ["budget", "--standby", "--data", str(tmp_path), "--bootstrap", "127.0.0.1:1"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 2
    assert "pass --partitioned" in result.output


async def test_its_status_tells_of_which_partitions_it_is() -> None:
    budget = create_app(SETTINGS, bus=CapturingBus().bus, rules=Rules(), new_id=SeededIds(1))
    running: dict[int, Service] = {2: budget, 5: budget}
    _, read = service_module._describe_partitions("budget", lambda: running, 6, RulesSource(Rules()))
    assert read is not None
    part = await read(None)
    assert isinstance(part, BudgetPart)
    assert part.partitions == OwnedPartitions(numbers=(2, 5), count=6)
    del running[2]
    assert (await read(None)).model_dump()["partitions"] == {"numbers": (5,), "count": 6}
