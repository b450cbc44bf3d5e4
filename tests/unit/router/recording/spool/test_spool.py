"""Messages on disk: in order, once acknowledged never again, and whole after any end of the process."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.support.recording import message, name

from understudies.router.recording.spool.segment import encode_frame
from understudies.router.recording.spool.spool import Spool

ROOMY = 10**9


def opened(folder: Path, limit: int = ROOMY, segment: int = 16 * 1024 * 1024) -> Spool:
    return Spool(folder, limit_bytes=limit, segment_bytes=segment)


def dead(spool: Spool) -> None:
    """What the end of a process does: its files are closed, and nothing is synced or put in order."""
    os.close(spool._cursor)
    if spool._writing is not None and spool._writing._writer is not None:
        os.close(spool._writing._writer)


def drained(spool: Spool, most: int = 3) -> list[str]:
    """Everything that waits, read and acknowledged so many at a time."""
    names: list[str] = []
    while not spool.is_empty:
        head = spool.read(most)
        names += map(name, head.messages)
        spool.acknowledge(head.end)
    return names


def names(*numbers: int) -> list[str]:
    return [f"call-{number}" for number in numbers]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_what_was_written_is_read_in_order_and_leaves_no_file(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment=1000)
    assert spool.append([message(n) for n in range(5)]) == 5
    assert spool.append([message(n) for n in range(5, 9)]) == 4
    assert spool.segments == len(files(tmp_path)) == 2
    assert spool.size == sum(file.stat().st_size for file in files(tmp_path))
    assert drained(spool) == names(*range(9))
    assert (spool.is_empty, spool.size, spool.segments, spool.age_s, files(tmp_path)) == (True, 0, 0, 0.0, [])
    spool.close()


def test_reading_again_without_an_acknowledgement_gives_the_same(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append([message(n) for n in range(5)])
    assert spool.read(2) == spool.read(2)
    assert [name(one) for one in spool.read(2).messages] == names(0, 1)
    spool.close()


def test_another_run_goes_on_where_the_last_one_acknowledged(tmp_path: Path) -> None:
    first = opened(tmp_path, segment=500)
    first.append([message(n) for n in range(2)])
    first.append([message(n) for n in range(2, 6)])
    first.acknowledge(first.read(3).end)
    acknowledged = 6 - len(drained_names(first))
    second = opened(tmp_path)
    second.append([message(6)])
    assert drained(second) == names(*range(acknowledged, 7))
    third = opened(tmp_path)
    assert third.is_empty
    third.append([message(7)])
    assert drained(third) == names(7)


def drained_names(spool: Spool) -> list[str]:
    """What waits, found without acknowledging."""
    where, found = spool._next, []
    while (head := spool.read(100)).messages:
        found += list(map(name, head.messages))
        spool._next = head.end
    spool._next = where
    return found


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_write_that_was_cut_off_costs_what_was_cut_off_alone(tmp_path: Path, cut: int) -> None:
    spool = opened(tmp_path)
    spool.append([message(n) for n in range(3)])
    (file,) = files(tmp_path)
    os.truncate(file, file.stat().st_size - cut)
    again = opened(tmp_path)
    again.append([message(3)])
    assert drained(again) == names(0, 1, 3)
    assert again.is_empty


def test_a_message_larger_than_what_is_read_at_once_is_read(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append([message(0), message(1, size=3_000_000), message(2)])
    heads = []
    while not spool.is_empty:
        head = spool.read(10)
        heads.append([name(one) for one in head.messages])
        spool.acknowledge(head.end)
    assert heads == [names(0), names(1), names(2)]


def test_a_spoilt_message_is_counted_and_passed_over(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append([message(n) for n in range(3)])
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    head = opened(tmp_path).read(10)
    assert ([name(one) for one in head.messages], head.corrupt) == (names(0, 2), 1)


def test_a_lost_or_spoilt_cursor_means_reading_again_not_losing(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append([message(n) for n in range(3)])
    spool.acknowledge(spool.read(2).end)
    (tmp_path / "acknowledged").write_bytes(b"\0" * 20)
    assert drained(opened(tmp_path)) == names(0, 1, 2)


def test_files_that_were_read_but_not_deleted_are_not_read_again(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment=1)
    spool.append([message(0)])
    spool.append([message(1)])
    first, data = files(tmp_path)[0], files(tmp_path)[0].read_bytes()
    spool.acknowledge(spool.read(1).end)
    spool.acknowledge(spool.read(1).end)
    first.write_bytes(data)
    assert drained(opened(tmp_path)) == []


def test_beyond_its_limit_the_newest_are_refused(tmp_path: Path) -> None:
    one = len(encode_frame(message(0, size=1000)))
    spool = opened(tmp_path, limit=3 * one)
    assert spool.append([message(n, size=1000) for n in range(5)]) == 3
    assert spool.append([message(9, size=1000)]) == 0
    spool.acknowledge(spool.read(1).end)
    assert spool.append([message(7, size=1000), message(8, size=1000)]) == 1
    assert drained(spool) == names(1, 2, 7)


def test_what_a_full_disk_cut_off_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = opened(tmp_path)
    spool.append([message(0)])
    write = os.write

    def full(descriptor: int, data: Any) -> int:
        if len(data) <= 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: len(data) - 50])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        spool.append([message(1), message(2)])
    monkeypatch.setattr(os, "write", write)
    spool.append([message(3)])
    assert drained(spool) == names(0, 3)


def test_a_disk_full_from_the_start_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = opened(tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        spool.append([message(1)])
    assert (spool.is_empty, files(tmp_path)) == (True, [])


def test_the_age_is_that_of_the_oldest_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=ROOMY, now=lambda: 10**10)
    spool.append([message(0)])
    assert spool.age_s > 10**9


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = opened(folder)
    spool.append([message(0)])
    assert {file.stat().st_mode & 0o077 for file in (folder, *folder.iterdir())} == {0}


class Lives(RuleBasedStateMachine):
    """A spool through any order of writing, reading, acknowledging, and dying in the middle of a write."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.environ["SPOOL_TEST_FOLDER"]) / os.urandom(8).hex()
        self.spool = opened(self.folder, segment=1500)
        self.waiting: list[str] = []
        self.count = 0

    @rule(count=st.integers(1, 4))
    def write(self, count: int) -> None:
        self.spool.append([message(self.count + n) for n in range(count)])
        self.waiting += names(*range(self.count, self.count + count))
        self.count += count

    @rule(most=st.integers(1, 5))
    def deliver(self, most: int) -> None:
        head = self.spool.read(most)
        got = [name(one) for one in head.messages]
        assert got == self.waiting[: len(got)]
        assert got or not self.waiting
        self.spool.acknowledge(head.end)
        del self.waiting[: len(got)]

    @rule()
    def die(self) -> None:
        dead(self.spool)
        self.spool = opened(self.folder, segment=1500)

    @rule(cut=st.integers(1, 400))
    def die_while_writing(self, cut: int) -> None:
        self.spool.append([message(10**6)])
        newest = files(self.folder)[-1]
        os.truncate(newest, newest.stat().st_size - cut)
        dead(self.spool)
        self.spool = opened(self.folder, segment=1500)

    def teardown(self) -> None:
        assert drained(self.spool) == self.waiting
        assert self.spool.size == 0
        self.spool.close()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOOL_TEST_FOLDER", str(tmp_path / "lives"))


def test_nothing_is_lost_or_doubled_through_many_lives() -> None:
    run_state_machine_as_test(Lives, settings=settings(max_examples=60, deadline=None))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_any_batches_come_out_in_order(batches: list[int], most: int) -> None:
    spool = opened(Path(os.environ["SPOOL_TEST_FOLDER"]) / os.urandom(8).hex(), segment=2000)
    count = 0
    for batch in batches:
        spool.append([message(count + n) for n in range(batch)])
        count += batch
    assert drained(spool, most) == names(*range(count))
    spool.close()
