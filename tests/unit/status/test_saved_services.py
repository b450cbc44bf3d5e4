"""The data folder of a stopped process: its snapshots, and what was stored after them."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.support.budget_harness import MONDAY, TASK, BudgetHarness, at_hour, promotion_stage, teacher_calls
from tests.support.stores import open_migrated_store

from understudies.events import Event, encode
from understudies.runtime.errors import StopService
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.snapshots import SnapshotStore
from understudies.status.saved_services import open_saved_status
from understudies.status.standing import TaskStanding

CALLS = teacher_calls(5)


async def store(folder: Path, table: str, *events: Event) -> datetime:
    """Store events; returns a time before which they were."""
    async with open_migrated_store(f"chdb://{folder / 'store'}") as opened:
        await opened.insert(table, [encode(event) for event in events])
        (row,) = await opened.query(f"SELECT max(stored_at) AS at FROM {table}")
        last: datetime = row["at"]
    return last + timedelta(seconds=2)


async def save_budget(folder: Path, *folded: Event, since: datetime | None) -> None:
    house = BudgetHarness()
    await house.handle(*folded)
    SnapshotStore(folder / "snapshots").save("budget", house.app.state(), {}, "", since)


async def standing(folder: Path) -> TaskStanding:
    async with open_saved_status(folder, RulesSource(Rules())) as reader:
        (found,) = (await reader.overview(at_hour(1))).tasks
    return found


async def test_what_was_stored_after_the_snapshot_counts_once(tmp_path: Path) -> None:
    await store(tmp_path, "invocations", *CALLS)
    # Three of them are in the snapshot, which covers what was stored before a time at which none was.
    await save_budget(tmp_path, *CALLS[:3], since=MONDAY)
    assert (await standing(tmp_path)).to_date.calls == 5


async def test_what_the_snapshot_covers_is_not_folded_again(tmp_path: Path) -> None:
    since = await store(tmp_path, "invocations", *CALLS)
    await save_budget(tmp_path, *CALLS[:3], since=since)
    assert (await standing(tmp_path)).to_date.calls == 3


async def test_a_snapshot_that_does_not_say_what_it_covers_is_taken_as_it_is(tmp_path: Path) -> None:
    await store(tmp_path, "invocations", *CALLS)
    await save_budget(tmp_path, *CALLS[:3], since=None)
    assert (await standing(tmp_path)).to_date.calls == 3


async def test_without_a_snapshot_everything_is_folded(tmp_path: Path) -> None:
    await store(tmp_path, "invocations", *CALLS)
    found = await standing(tmp_path)
    assert (found.task, found.to_date.calls, found.examples) == (TASK, 5, 5)


async def test_a_student_in_force_without_its_files_is_told(tmp_path: Path) -> None:
    await store(tmp_path, "promotions", promotion_stage("promoted", artifact=f"artifacts/{'0a' * 32}", share=1.0))
    found = await standing(tmp_path)
    assert found.not_loaded is not None
    assert "cannot read" in found.not_loaded


async def test_a_snapshot_of_another_version_is_told(tmp_path: Path) -> None:
    await store(tmp_path, "invocations", *CALLS)
    SnapshotStore(tmp_path / "snapshots").save("budget", {"books": 3}, {}, "")
    with pytest.raises(StopService, match="use the version that wrote it"):
        await standing(tmp_path)
