import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE
from understudies.students.lora.adapter_folder import PREFIX, AdapterFolder
from understudies.students.lora.engine import ServedAdapter

ADAPTER = ServedAdapter({CONFIG_FILE: b"{}", WEIGHTS_FILE: b"weights", "adapter.gguf": b"G"}, "base", "0" * 64)
NAME = f"{PREFIX}{ADAPTER.name}"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_writes_what_servers_read_and_nothing_else(tmp_path: Path) -> None:
    folder = AdapterFolder(tmp_path / "adapters")
    folder.write(ADAPTER)
    assert folder.location(ADAPTER) == str(tmp_path / "adapters" / NAME)
    assert content(Path(folder.location(ADAPTER))) == {CONFIG_FILE: b"{}", WEIGHTS_FILE: b"weights"}
    assert [path.name for path in (tmp_path / "adapters").iterdir()] == [NAME]


def test_servers_may_see_the_folder_under_another_path(tmp_path: Path) -> None:
    assert AdapterFolder(tmp_path, "/mnt/adapters").location(ADAPTER) == f"/mnt/adapters/{NAME}"


def test_a_damaged_file_is_written_again_and_an_intact_one_left_alone(tmp_path: Path) -> None:
    folder = AdapterFolder(tmp_path)
    folder.write(ADAPTER)
    intact = (tmp_path / NAME / CONFIG_FILE).stat().st_ino
    (tmp_path / NAME / WEIGHTS_FILE).write_bytes(b"weig")
    folder.write(ADAPTER)
    assert content(tmp_path / NAME)[WEIGHTS_FILE] == b"weights"
    assert (tmp_path / NAME / CONFIG_FILE).stat().st_ino == intact


def test_a_link_out_of_the_folder_and_files_of_others_are_refused(tmp_path: Path) -> None:
    folder, outside = AdapterFolder(tmp_path / "adapters"), tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / NAME).symlink_to(outside)
    with pytest.raises(ArtifactError, match="leads outside the folder of adapters"):
        folder.write(ADAPTER)
    assert not content(outside)
    other = replace(ADAPTER, base_digest="1" * 64)
    folder.write(other)
    (Path(folder.location(other)) / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"adapter_model\.bin"):
        folder.write(other)


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "adapters").write_text("a file where a folder belongs")
    with pytest.raises(OSError, match="adapters"):
        AdapterFolder(tmp_path / "adapters").write(ADAPTER)


def test_what_was_not_used_for_a_day_is_removed_unless_a_server_lists_it(tmp_path: Path) -> None:
    folder = AdapterFolder(tmp_path)
    adapters = [replace(ADAPTER, base_digest=str(number) * 64) for number in range(3)]
    old = time.time() - 100_000
    for one in adapters:
        folder.write(one)
        os.utime(folder.location(one), (old, old))
    (tmp_path / "of-others").mkdir()
    os.utime(tmp_path / "of-others", (old, old))
    folder.write(adapters[1])
    folder.sweep({f"{PREFIX}{adapters[0].name}"})
    kept = {Path(folder.location(one)).name for one in adapters[:2]}
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "of-others"}
