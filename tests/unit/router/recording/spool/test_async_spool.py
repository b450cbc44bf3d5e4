"""Several processes share a folder: each has a part of its own, and takes over those of processes that ended."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.recording import message, name

from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.router.recording.spool.lease import SpoolLease


async def written(folder: Path, *numbers: int) -> AsyncSpool:
    backlog = AsyncSpool(folder)
    await backlog.append([message(number) for number in numbers])
    return backlog


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


async def drained(backlog: AsyncSpool) -> list[str]:
    names: list[str] = []
    while True:
        messages, _ = await backlog.read(2)
        if not messages:
            return names
        names += map(name, messages)
        await backlog.acknowledge()


async def test_a_run_that_ended_leaves_its_messages_to_the_next(tmp_path: Path) -> None:
    first = await written(tmp_path, 0, 1, 2)
    assert not first.is_empty
    await first.close()
    second = await written(tmp_path, 3)
    assert (second.size > 0, second.segments, second.age_s >= 0) == (True, 2, True)
    assert await drained(second) == ["call-0", "call-1", "call-2", "call-3"]
    assert (second.is_empty, second.size) == (True, 0)
    await second.close()


async def test_workers_that_live_side_by_side_do_not_share_messages(tmp_path: Path) -> None:
    one, other = await written(tmp_path, 1), await written(tmp_path, 2)
    assert await drained(one) == ["call-1"]
    assert await drained(other) == ["call-2"]
    await one.close()
    await other.close()


async def test_what_workers_left_that_are_gone_is_taken_over_first(tmp_path: Path) -> None:
    one, two, three = await written(tmp_path, 1), await written(tmp_path, 2), await written(tmp_path, 3)
    await two.close()
    await three.close()
    heir = await written(tmp_path, 4)
    assert await drained(heir) == ["call-3", "call-2", "call-4"]
    await heir.close()
    assert await drained(one) == ["call-1"]
    await one.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.support.recording import message
from understudies.router.recording.spool.async_spool import AsyncSpool

async def main():
    backlog = AsyncSpool(Path(sys.argv[1]))
    for number in range(10):
        await backlog.append([message(number)])
    print("written", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_and_its_folder_is_free(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:  # noqa: ASYNC220 - one line is read
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        held = SpoolLease.acquire(tmp_path)
        assert held.own.name == "worker-2"
        held.release()
        writer.kill()
        writer.wait(10)
    heir = AsyncSpool(tmp_path)
    await heir.open()
    assert await drained(heir) == [f"call-{number}" for number in range(10)]
    await heir.close()
    assert folders(tmp_path) == ["worker-1", "worker-2"]


async def test_nothing_waits_where_nothing_was_left(tmp_path: Path) -> None:
    backlog = AsyncSpool(tmp_path)
    assert (await backlog.read(5), backlog.is_empty, backlog.segments, backlog.age_s) == (((), 0), True, 0, 0.0)
    await backlog.open()
    assert await backlog.read(5) == ((), 0)
    await backlog.close()


async def test_a_folder_that_cannot_be_made_is_an_error_each_time_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    backlog = AsyncSpool(tmp_path / "file" / "spool")
    for _ in range(2):
        with pytest.raises(OSError, match="Not a directory"):
            await backlog.append([message(0)])
    (tmp_path / "file").unlink()
    assert await backlog.append([message(0)]) == 1
    await backlog.close()


async def test_an_inheritance_that_cannot_be_read_does_not_stop_a_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await written(tmp_path, 1), await written(tmp_path, 2)
    await one.close()
    await two.close()
    (tmp_path / "worker-2" / "acknowledged").unlink()
    (tmp_path / "worker-2" / "acknowledged").mkdir()
    heir = await written(tmp_path, 3)
    assert "left by an ended process, cannot be read" in caplog.text
    assert await drained(heir) == ["call-1", "call-3"]
    await heir.close()


async def test_a_worker_has_its_own_limit(tmp_path: Path) -> None:
    backlog = AsyncSpool(tmp_path, limit_bytes=4000)
    assert await backlog.append([message(n, size=1000) for n in range(5)]) == 3
    await backlog.close()


async def test_a_disk_that_cannot_sync_still_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    backlog = AsyncSpool(tmp_path, sync_s=0)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", broken)
        assert await backlog.append([message(0)]) == 1
    assert "cannot be synced" in caplog.text
    assert await drained(backlog) == ["call-0"]
    await backlog.close()
