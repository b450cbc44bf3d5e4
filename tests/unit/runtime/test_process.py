"""Searching for garbage less often."""

import gc
import os
import threading
from pathlib import Path

import pytest

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.process import freeze_startup_objects, load_instance_id, lock_data_dir


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
