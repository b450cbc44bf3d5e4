"""A backup is restored whole or not at all."""

from pathlib import Path

import pytest

from understudies.backup.archive import Manifest, read_archive, write_archive
from understudies.runtime.errors import ConfigurationError

FILES = {
    "snapshots/budget.json": b"{}",
    "store/store/abc/uuid/all_1_1_0/data.bin": b"part" * 1000,
    "store/store/abc/uuid/format_version.txt": b"1",
    "artifacts/datasets/0.jsonl": b"example",
    "spool/worker-1/1.spool": b"event",
}
TRANSIENT = ("snapshots/budget.part", "store/shadow/backup/x", "store/status", "spool/worker-1/lock", "up.json")


def ignore(files: int, size: int) -> None:
    """Nobody watches."""


def make_folder(folder: Path) -> Path:
    for name in (*FILES, *TRANSIENT):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES.get(name, b"transient"))
    (folder / "store" / "metadata").mkdir()
    (folder / "store" / "metadata" / "default").symlink_to("../store/abc/uuid")
    (folder / "store" / "store" / "abc" / "uuid" / "detached").mkdir()
    return folder


def write(folder: Path, target: Path) -> Manifest:
    return write_archive(target, folder, None, "1.0", ignore)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "metadata" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_folder_comes_back_as_it_was_without_what_a_process_writes_for_itself(tmp_path: Path) -> None:
    manifest = write(make_folder(tmp_path / "data"), tmp_path / "b.tar")
    assert read_archive(tmp_path / "b.tar", tmp_path / "new", ignore) == manifest
    assert manifest.has_store
    assert contents(tmp_path / "new") == FILES
    link = tmp_path / "new" / "store" / "metadata" / "default"
    assert (link.is_symlink(), str(link.readlink())) == (True, "../store/abc/uuid")
    assert (tmp_path / "new" / "store" / "store" / "abc" / "uuid" / "detached").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data", "new"]


def test_changing_parts_come_from_what_was_staged_and_artifacts_from_the_folder(tmp_path: Path) -> None:
    data, staging = make_folder(tmp_path / "data"), tmp_path / "data" / "staging"
    (staging / "snapshots").mkdir(parents=True)
    (staging / "snapshots" / "budget.json").write_bytes(b"of that moment")
    write_archive(tmp_path / "b.tar", data, staging, "1.0", ignore)
    manifest = read_archive(tmp_path / "b.tar", tmp_path / "new", ignore)
    assert not manifest.has_store
    assert contents(tmp_path / "new") == {
        "snapshots/budget.json": b"of that moment",
        "artifacts/datasets/0.jsonl": b"example",
    }


def test_a_backup_that_was_cut_off_anywhere_is_none(tmp_path: Path) -> None:
    write(make_folder(tmp_path / "data"), tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    end = whole.rindex(b'"sha256"')
    for length in (0, 100, 700, len(whole) // 3, len(whole) // 2, end):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(ConfigurationError, match="no whole backup"):
            read_archive(tmp_path / "cut.tar", tmp_path / "new", ignore)
        assert not (tmp_path / "new").exists()
        assert not (tmp_path / "new.part").exists()


def test_a_file_that_changed_in_the_backup_is_named(tmp_path: Path) -> None:
    write(make_folder(tmp_path / "data"), tmp_path / "b.tar")
    spoilt = (tmp_path / "b.tar").read_bytes().replace(b"example", b"exampIe")
    (tmp_path / "b.tar").write_bytes(spoilt)
    with pytest.raises(ConfigurationError, match=r"0\.jsonl.* is not what was backed up"):
        read_archive(tmp_path / "b.tar", tmp_path / "new", ignore)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    write(data, tmp_path / "b.tar")
    before = contents(data)
    with pytest.raises(ConfigurationError, match="holds something"):
        read_archive(tmp_path / "b.tar", data, ignore)
    assert contents(data) == before
    (tmp_path / "empty").mkdir()
    read_archive(tmp_path / "b.tar", tmp_path / "empty", ignore)
    assert contents(tmp_path / "empty") == FILES


def test_a_path_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    (data / "store" / "out").symlink_to("../../../outside")
    write(data, tmp_path / "b.tar")
    with pytest.raises(ConfigurationError, match="no whole backup"):
        read_archive(tmp_path / "b.tar", tmp_path / "new", ignore)
    assert not (tmp_path / "new").exists()
