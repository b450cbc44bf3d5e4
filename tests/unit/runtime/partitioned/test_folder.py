"""State that is kept by partition in a data folder."""

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from tests.support.budget_harness import SETTINGS, teacher_calls
from tests.support.capturing_bus import CapturingBus, to_records

from understudies.budget.app import BudgetApp, create_app
from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, VERDICTS, Invocation, SeededIds
from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.errors import ConfigurationError, StopService
from understudies.runtime.partitioned import folder as folder_module
from understudies.runtime.partitioned.folder import PartitionFolder, is_split, require_whole, unshared_id
from understudies.runtime.rules.rules import Rules
from understudies.runtime.snapshots import SnapshotStore

COUNT = 6
TASKS = [f"task-{number}" for number in range(20)]


def make_budget() -> BudgetApp:
    return create_app(SETTINGS, bus=CapturingBus().bus, rules=Rules(), new_id=SeededIds(1))


async def make_empty() -> BudgetApp:
    return make_budget()


async def open_and_deal_out(data: Path, count: int = COUNT) -> str:
    folder, never = PartitionFolder(data, "budget", count), asyncio.Event()
    id_ = await folder.open(never)
    assert id_ is not None
    assert await folder.deal_out(0, make_empty, never)
    return id_


async def save_whole(data: Path) -> BudgetApp:
    """The snapshot of a single process that knows three calls of each task."""
    whole = make_budget()
    for number, task in enumerate(TASKS):
        calls = [call.model_copy(update={"task": task, "id": f"{task}-{call.id}"}) for call in teacher_calls(3)]
        assert all(isinstance(call, Invocation) for call in calls), number
        await whole.handle(to_records(*calls))
    offsets = {(topic.name, number): 10 + number for topic in (INVOCATIONS, VERDICTS) for number in range(COUNT)}
    offsets |= {(PROMOTIONS.name, 0): 5, (DRIFT.name, 0): 6, (DRIFT.name, 1): 7}
    SnapshotStore(data / "snapshots").save("budget", whole.state(), offsets, "broker")
    return whole


async def test_the_state_of_a_single_process_is_dealt_out_once(tmp_path: Path) -> None:
    whole = await save_whole(tmp_path)
    id_ = await open_and_deal_out(tmp_path)
    folder = PartitionFolder(tmp_path, "budget", COUNT)
    seen: dict[str, int] = {}
    for number in range(COUNT):
        snapshot = folder.snapshots(number).load("budget")
        assert snapshot is not None
        assert snapshot.generation == "broker"
        assert snapshot.offsets[INVOCATIONS.name, number] == 10 + number
        assert {where for where in snapshot.offsets if where[0] in (INVOCATIONS.name, VERDICTS.name)} == {
            (INVOCATIONS.name, number),
            (VERDICTS.name, number),
        }
        assert snapshot.offsets[DRIFT.name, 1] == 7
        part = make_budget()
        await part.restore(snapshot.state)
        assert all(TaskPartition(number, COUNT).owns(task) for task in part.tasks)
        seen |= {task: state.ledger.calls for task, state in part.tasks.items()}
    assert seen == {task: state.ledger.calls for task, state in whole.tasks.items()}
    assert not (tmp_path / "snapshots" / "budget.json").exists()
    assert await open_and_deal_out(tmp_path) == id_


async def test_who_only_opens_the_folder_leaves_the_single_process_s_state_to_it(tmp_path: Path) -> None:
    await save_whole(tmp_path)
    whole = tmp_path / "snapshots" / "budget.json"
    before = whole.read_bytes()
    folder = PartitionFolder(tmp_path, "budget", COUNT)
    assert await folder.open(asyncio.Event())
    assert [*(tmp_path / "snapshots").rglob("*.json")] == [whole]
    assert whole.read_bytes() == before
    require_whole(tmp_path, "budget")
    # Nor is it bound to a number of partitions yet.
    assert await PartitionFolder(tmp_path, "budget", 12).open(asyncio.Event())
    assert folder.has_state(3)


async def test_it_knows_of_which_partitions_there_is_state(tmp_path: Path) -> None:
    folder = PartitionFolder(tmp_path, "budget", COUNT)
    assert await folder.open(asyncio.Event())
    assert not folder.has_state(2)
    assert await folder.deal_out(0, make_empty, asyncio.Event())
    folder.snapshots(2).save("budget", {}, {}, "broker")
    assert [folder.has_state(number) for number in range(3)] == [False, False, True]


async def test_what_another_copy_is_dealing_out_is_state_at_each_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save_whole(tmp_path)
    folder, never = PartitionFolder(tmp_path, "budget", COUNT), asyncio.Event()
    assert await folder.open(never)
    rename, write_json = Path.rename, folder_module._write_json
    known: list[bool] = []

    def note() -> None:
        known.append(all(folder.has_state(number) for number in range(COUNT)))

    def rename_noted(self: Path, target: Path) -> Path:
        note()
        renamed = rename(self, target)
        note()
        return renamed

    def write_noted(path: Path, body: Any) -> None:
        note()
        write_json(path, body)
        note()

    monkeypatch.setattr(Path, "rename", rename_noted)
    monkeypatch.setattr(folder_module, "_write_json", write_noted)
    assert await PartitionFolder(tmp_path, "budget", COUNT).deal_out(0, make_empty, never)
    assert known == [True] * 4


async def test_a_snapshot_that_is_put_there_late_is_dealt_out_to_those_that_have_not_begun(tmp_path: Path) -> None:
    folder, other, never = (*(PartitionFolder(tmp_path, "budget", COUNT) for _ in range(2)), asyncio.Event())
    assert await folder.open(never)
    # Of partition 2 alone its single process had handled anything, so that the others began without its state.
    assert await folder.deal_out(0, make_empty, never)
    for number in set(range(COUNT)) - {2}:
        folder.snapshots(number).save("budget", {}, {}, "begun")
    assert not folder.has_state(2)
    whole = await save_whole(tmp_path)
    assert folder.has_state(2)
    assert await other.deal_out(0, make_empty, never)
    assert not folder.snapshots(2).has("budget")
    # It is taken by one that had seen it all dealt out, too.
    assert await folder.deal_out(2, make_empty, never)
    snapshots = [folder.snapshots(number).load("budget") for number in range(COUNT)]
    assert [one.generation for one in snapshots if one] == ["begun", "begun", "broker", "begun", "begun", "begun"]
    part = make_budget()
    assert snapshots[2] is not None
    await part.restore(snapshots[2].state)
    assert set(part.tasks) == {task for task in whole.tasks if TaskPartition(2, COUNT).owns(task)}
    assert not SnapshotStore(tmp_path / "snapshots").has("budget")


async def test_a_crash_as_the_state_is_dealt_out_leaves_no_folder_that_looks_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save_whole(tmp_path)
    folder, never = PartitionFolder(tmp_path, "budget", COUNT), asyncio.Event()
    id_ = await folder.open(never)

    def crash(path: Path, body: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(folder_module, "_write_json", crash)
        with pytest.raises(RuntimeError):
            await folder.deal_out(0, make_empty, never)
    # A single process goes on with it, and copies deal it out again.
    require_whole(tmp_path, "budget")
    assert SnapshotStore(tmp_path / "snapshots").has("budget")
    assert unshared_id(tmp_path, "budget") == id_
    assert await open_and_deal_out(tmp_path) == id_
    assert not (tmp_path / "snapshots" / "budget.json").exists()
    assert unshared_id(tmp_path, "budget") is None


async def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    id_ = await open_and_deal_out(tmp_path)
    with pytest.raises(ConfigurationError, match=f"of 6 partitions, and the topics have 12.* --in-place-of {id_}"):
        await PartitionFolder(tmp_path, "budget", 12).open(asyncio.Event())


async def test_a_damaged_marker_is_named_with_its_remedy(tmp_path: Path) -> None:
    await open_and_deal_out(tmp_path)
    (tmp_path / "budget.partitions.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="put that of a backup in its place"):
        await PartitionFolder(tmp_path, "budget", COUNT).open(asyncio.Event())
    with pytest.raises(ConfigurationError, match="pass --partitioned"):
        require_whole(tmp_path, "budget")


async def test_a_single_process_is_told_that_the_state_is_by_partition(tmp_path: Path) -> None:
    require_whole(tmp_path, "budget")
    await open_and_deal_out(tmp_path)
    assert is_split(tmp_path, "budget")
    with pytest.raises(ConfigurationError, match="pass --partitioned"):
        require_whole(tmp_path, "budget")
    require_whole(tmp_path, "evaluator")


async def test_one_holds_a_partition_and_who_waits_may_give_up(tmp_path: Path) -> None:
    folder, never, given_up = PartitionFolder(tmp_path, "budget", COUNT), asyncio.Event(), asyncio.Event()
    async with folder.lock(3, never) as held, folder.lock(4, never) as other:
        assert held
        assert other

        async def wait() -> bool:
            async with folder.lock(3, given_up) as lock:
                return lock is not None

        waiting = asyncio.create_task(wait())
        given_up.set()
        assert not await waiting
    async with folder.lock(3, never) as held:
        assert held


async def test_who_waits_for_the_state_to_be_dealt_out_may_give_up(tmp_path: Path) -> None:
    await save_whole(tmp_path)
    begun, go_on, given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def make_slowly() -> BudgetApp:
        begun.set()
        await go_on.wait()
        return make_budget()

    never = asyncio.Event()
    folders = [PartitionFolder(tmp_path, "budget", COUNT) for _ in range(3)]
    for folder in folders:
        await folder.open(never)
    first = asyncio.create_task(folders[0].deal_out(0, make_slowly, never))
    await begun.wait()
    second = asyncio.create_task(folders[1].deal_out(0, make_empty, given_up))
    third = asyncio.create_task(folders[2].deal_out(0, make_empty, never))
    late = asyncio.create_task(PartitionFolder(tmp_path, "budget", COUNT).open(given_up))
    given_up.set()
    assert not await second
    assert await late is None
    go_on.set()
    assert await first
    assert await third


async def test_a_disk_that_is_full_as_the_state_is_dealt_out_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save_whole(tmp_path)
    before = (tmp_path / "snapshots" / "budget.json").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotStore, "write", fail)
        with pytest.raises(StopService, match="No space left on device; it needs as much space again"):
            await open_and_deal_out(tmp_path)
    assert (tmp_path / "snapshots" / "budget.json").read_bytes() == before
    assert not is_split(tmp_path, "budget")
    assert await open_and_deal_out(tmp_path)
