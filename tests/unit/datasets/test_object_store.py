"""Immutable files under a root: written once, read only from under it, with clear errors."""

import errno
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.runtime.errors import ConfigurationError, RetryLater


def test_what_was_written_is_read_and_never_overwritten(tmp_path: Path) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    uri = files.write("datasets/a.jsonl", b"first")
    assert files.write("datasets/a.jsonl", b"second") == uri
    assert files.read(uri) == b"first"
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["a.jsonl"]


def test_the_names_in_a_folder_are_listed_and_those_of_none_are_none(tmp_path: Path) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    files.write("artifacts/b/weights.bin", b"")
    files.write("artifacts/a.jsonl", b"")
    assert files.names("artifacts") == ["a.jsonl", "b"]
    assert files.names("datasets") == []
    with pytest.raises(ArtifactError, match="is not under the artifact root"):
        files.names("../elsewhere")


@pytest.mark.parametrize("uri", ["file:///etc/hostname", "{root}/../other", "{root}x/a"])
def test_nothing_outside_the_root_is_read(tmp_path: Path, uri: str) -> None:
    root = f"file://{tmp_path}"
    with pytest.raises(ArtifactError, match="is not under the artifact root"):
        ObjectStore(root).read(uri.format(root=root))


def test_a_root_that_moved_is_read_by_the_same_references(tmp_path: Path) -> None:
    reference = ObjectStore(f"file://{tmp_path / 'before'}").write("datasets/a.jsonl", b"first")
    assert reference == "datasets/a.jsonl"
    (tmp_path / "before").rename(tmp_path / "after")
    assert ObjectStore(f"file://{tmp_path / 'after'}/").read(reference) == b"first"


@pytest.mark.parametrize("path", [f"datasets/{'0a' * 32}.jsonl", f"artifacts/{'0a' * 32}/manifest.json"])
@pytest.mark.parametrize("root", ["file:///srv/data/artifacts", "s3://bucket/artifacts", "{here}"])
def test_references_of_before_that_name_the_whole_root_are_read_under_the_present_one(
    tmp_path: Path, path: str, root: str
) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    files.write(path, b"first")
    assert files.read(f"{root.format(here=files.root)}/{path}") == b"first"


@pytest.mark.parametrize(
    "name", ["artifacts/0a/manifest.json", f"datasets/{'0a' * 32}.jsonl/x", f"x-datasets/{'0a' * 32}.jsonl"]
)
def test_what_is_not_named_by_its_content_is_another_file_elsewhere(tmp_path: Path, name: str) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    with pytest.raises(ArtifactError, match="is not under the artifact root"):
        files.read(f"file:///srv/{name}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*gone"):
        ObjectStore(f"file://{tmp_path}").read(f"file://{tmp_path}/gone")


class DriverError(Exception):
    """What a driver of an object store raises that knows no OSError."""


AWAY = [OSError(errno.EIO, "I/O"), TimeoutError(), PermissionError("expired"), DriverError("connection reset")]


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_a_file_that_is_away_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    uri = files.write("datasets/a.jsonl", b"first")
    with monkeypatch.context() as outage:
        outage.setattr(LocalFileSystem, "cat_file", failing(error))
        with pytest.raises(RetryLater, match=r"cannot read .*a.jsonl' now"):
            files.read(uri)
    assert files.read(uri) == b"first"


@pytest.mark.parametrize("error", [*AWAY, OSError(errno.ENOSPC, "No space left on device")], ids=repr)
def test_what_cannot_be_written_now_can_be_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    with monkeypatch.context() as outage:
        outage.setattr(LocalFileSystem, "open", failing(error))
        with pytest.raises(RetryLater, match=r"cannot write .*a.jsonl' now"):
            files.write("datasets/a.jsonl", b"first")
    assert files.read(files.write("datasets/a.jsonl", b"first")) == b"first"


def failing(error: Exception) -> Any:
    def fail(*args: object, **options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("root", ["nope://bucket", "s4://bucket/prefix"])
def test_a_root_of_an_unknown_kind_is_refused_with_the_remedy(root: str) -> None:
    with pytest.raises(ConfigurationError, match="file:///PATH"):
        ObjectStore(root)
