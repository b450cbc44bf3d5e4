"""Immutable files under a root: written once, read only from under it, with clear errors."""

from pathlib import Path

import pytest

from understudies.runtime import ConfigurationError
from understudies.students import ArtifactError, Files


def test_what_was_written_is_read_and_never_overwritten(tmp_path: Path) -> None:
    files = Files(f"file://{tmp_path}")
    uri = files.write("datasets/a.jsonl", b"first")
    assert files.write("datasets/a.jsonl", b"second") == uri
    assert files.read(uri) == b"first"
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize("uri", ["file:///etc/hostname", "{root}/../other", "{root}x/a"])
def test_nothing_outside_the_root_is_read(tmp_path: Path, uri: str) -> None:
    root = f"file://{tmp_path}"
    with pytest.raises(ArtifactError, match="does not lie under the artifact root"):
        Files(root).read(uri.format(root=root))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*gone"):
        Files(f"file://{tmp_path}").read(f"file://{tmp_path}/gone")


@pytest.mark.parametrize("root", ["nope://bucket", "s4://bucket/prefix"])
def test_a_root_of_an_unknown_kind_is_refused_with_the_remedy(root: str) -> None:
    with pytest.raises(ConfigurationError, match="file:///PATH"):
        Files(root)
