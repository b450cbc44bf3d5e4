"""Searching for garbage less often."""

import asyncio
import errno
import fcntl
import gc
import os
import threading
from pathlib import Path

import pytest

from understudies.runtime import process
from understudies.runtime.errors import ConfigurationError, StopService
from understudies.runtime.process import freeze_startup_objects, load_instance_id, lock_data_dir, wait_lock


def test_the_folder_is_made(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path / "deep" / "data", "up"):
        assert (tmp_path / "deep" / "data").is_dir()


def test_a_second_user_of_the_same_kind_is_told_who_has_it(tmp_path: Path) -> None:
    with (
        lock_data_dir(tmp_path, "up"),
        pytest.raises(ConfigurationError, match=rf"another `understudies up`, process {os.getpid()}; .*--data"),
        lock_data_dir(tmp_path, "up"),
    ):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_data_dir(tmp_path, "up"):
            pass


def test_one_who_is_patient_has_it_once_it_is_free(tmp_path: Path) -> None:
    tried, had = threading.Event(), threading.Event()

    def wait() -> None:
        tried.set()
        with lock_data_dir(tmp_path, "up", patience_s=60):
            had.set()

    waiting = threading.Thread(target=wait)
    with lock_data_dir(tmp_path, "up"):
        waiting.start()
        tried.wait()
        assert not had.is_set()
    waiting.join()
    assert had.is_set()


def test_a_process_has_the_name_of_the_one_before_it_on_the_folder(tmp_path: Path) -> None:
    names = [load_instance_id(tmp_path, user) for user in ("budget", "budget", "trainer")]
    assert names[0] == names[1] != names[2]
    (tmp_path / "budget.instance").write_text("")
    assert load_instance_id(tmp_path, "budget") not in {"", names[0]}


def test_different_services_share_a_folder(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path, "observer"), lock_data_dir(tmp_path, "budget"):
        assert {path.name for path in tmp_path.iterdir()} == {"observer.lock", "budget.lock"}


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match=r"cannot write to the data folder .*file'"),
        lock_data_dir(tmp_path / "file", "up"),
    ):
        pass


def test_what_was_there_before_is_not_searched_again_and_new_garbage_is_found() -> None:
    thresholds = gc.get_threshold()
    try:
        freeze_startup_objects()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > thresholds[0]
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() >= 1
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


async def test_a_lock_tells_whether_another_process_has_taken_it(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with wait_lock(tmp_path, "part", lambda *_: None, never) as lock:
        assert lock is not None
        lock.require_held()
        # Whoever waits changes nothing.
        given_up = asyncio.Event()
        given_up.set()
        async with wait_lock(tmp_path, "part", lambda *_: None, given_up) as none:
            assert none is None
        lock.require_held()
        (tmp_path / "part.lock").unlink()
        with pytest.raises(StopService, match="lost, and its file cannot be read"):
            lock.require_held()
        async with wait_lock(tmp_path, "part", lambda *_: None, never) as other:
            assert other is not None
            other.require_held()
            with pytest.raises(StopService, match=rf"part.lock' was lost, and process {os.getpid()} on .* has it now"):
                lock.require_held()


async def test_a_full_disk_does_not_keep_a_lock_from_being_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    async with wait_lock(tmp_path, "part", lambda *_: None, asyncio.Event()) as lock:
        assert lock is not None
        lock.require_held()


async def test_a_file_system_without_locks_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(ConfigurationError, match=r"cannot lock files \(No locks available\)"):
        async with wait_lock(tmp_path, "part", lambda *_: None, asyncio.Event()):
            pass
    with (
        pytest.raises(ConfigurationError, match="cannot lock files"),
        lock_data_dir(tmp_path, "budget", shared=True, patience_s=60),
    ):
        pass


async def test_who_waits_for_a_lock_says_so_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_TELL_AGAIN_S", 0.0)
    given_up, told = asyncio.Event(), list[str]()

    def waiting(holder: str, seconds: float) -> None:
        told.append(holder)
        if len(told) == 3:
            given_up.set()

    async with wait_lock(tmp_path, "part", waiting, asyncio.Event()), wait_lock(tmp_path, "part", waiting, given_up):
        pass
    assert len(told) == 3
    assert told[0].startswith(f"{os.getpid()} on ")
