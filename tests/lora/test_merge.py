"""A LoRA student merged into its base, which then answers alone."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.lora.test_gguf_adapter import QUESTIONS
from tests.lora.test_ladder import numerals, settings
from tests.support.lora_adapters import adapter_files
from tests.support.peft_answers import peft_first_tokens
from tests.support.tiny_base import write_tiny_base
from typer.testing import CliRunner

from understudies.cli.main import app
from understudies.datasets.dataset import write_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.judges.registry import parse_judge
from understudies.runtime.errors import ConfigurationError
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.lora.adapter import LoraAdapter, read_adapter
from understudies.students.lora.base_model import BaseShape, find_base
from understudies.students.lora.llama_cpp_process import ServerOptions
from understudies.students.lora.llama_cpp_server import LlamaCppServer
from understudies.students.lora.merged_gguf import merge_gguf
from understudies.trainer.lora import merge
from understudies.trainer.lora.merge import GGUF_NAME, MERGED_FILE, LoraMerge
from understudies.trainer.trainers import TrainedStudent, TrainingData, train_lora

AT = datetime(2026, 3, 1, tzinfo=UTC)
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def trained(base_folder: Path) -> Mapping[str, bytes]:
    """The files of a student that has learned its task."""
    found = train_lora(TrainingData(numerals(), parse_judge("exact"), 1), settings(base_folder))
    assert isinstance(found, TrainedStudent)
    return found.files


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data: Path) -> ObjectStore:
    return ObjectStore(f"file://{data}/artifacts")


@pytest.fixture
def uri(store: ObjectStore, trained: Mapping[str, bytes]) -> str:
    return keep(store, trained)


def keep(store: ObjectStore, files: Mapping[str, bytes], **fields: Any) -> str:
    """Write a student's artifact and its dataset."""
    _, digest = write_dataset(store, "numerals", numerals().examples)
    known: dict[str, Any] = {
        "kind": "lora",
        "task": "numerals",
        "student": "numerals@1",
        "created": AT,
        "dataset_digest": digest,
        "teachers": ("teacher-1",),
        **fields,
    }
    return write_artifact(store, files, Manifest.model_validate(known))


def quiet(line: str) -> None:
    """Take a line of progress."""


def test_the_merged_model_answers_as_the_student_does_and_says_where_it_comes_from(
    data: Path, uri: str, base_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "merged"
    result = RUNNER.invoke(app, ["students", "merge", "numerals", "--output", str(output), "--data", str(data)])
    assert result.exit_code == 0, result.output
    written = json.loads((output / MERGED_FILE).read_text())
    assert written["artifact"] == uri
    assert written["student"] == "numerals@1"
    assert written["teachers"] == ["teacher-1"]
    assert written["base"] == str(base_folder)
    assert written["base_licence"] == "apache-2.0"
    assert set(written["files"]) == {path.name for path in output.iterdir()} - {MERGED_FILE}
    assert {"model.safetensors", "config.json", "tokenizer.json", GGUF_NAME} <= set(written["files"])
    for check in written["checks"].values():
        assert check["same"] == check["calls"] >= 20
        assert check["merged_agreed"] == check["student_agreed"] >= 0.9 * check["calls"]
    assert {path.stat().st_mode & 0o777 for path in output.iterdir()} == {0o644}
    assert written["checks"].keys() == {"safetensors", "gguf"}
    # It is a base like any other: the digest tells it from the one that it was merged into.
    assert find_base(str(output)).shape == find_base(str(base_folder)).shape
    assert find_base(str(output)).digest != written["base_digest"]


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
async def test_the_merged_gguf_file_has_the_probabilities_of_base_and_adapter(tmp_path: Path, kind: str) -> None:
    base = write_tiny_base(tmp_path / "base", kind=kind)
    files = adapter_files(6, ranks={"q_proj": 8, "down_proj": 2}, alpha_pattern={"v_proj": 24})
    target = tmp_path / "merged.gguf"
    found = find_base(str(base))
    merge_gguf(found.require_gguf(), read_adapter(files), found.shape, target, "merged")
    server = await LlamaCppServer.start(
        ServerOptions(base=target, adapters=(), slots=1, slot_tokens=256, threads=1),
        (),
        start_timeout_s=120,
        answer_timeout_s=120,
    )
    try:
        for question, (_, likely) in zip(
            QUESTIONS, peft_first_tokens(base, files, tmp_path / "adapter", QUESTIONS), strict=True
        ):
            turns = [{"role": "user", "content": question}]
            generation = await server.chat.complete({"messages": turns, "temperature": 0, "max_tokens": 1})
            assert generation.log_probability is not None
            assert 2.718281828**generation.log_probability == pytest.approx(likely, rel=0.03)
    finally:
        await server.stop()


def test_a_merge_that_loses_what_was_learned_is_refused_and_leaves_nothing(
    store: ObjectStore, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_effect(base: Path, adapter: LoraAdapter, shape: BaseShape, target: Path, name: str) -> None:
        target.write_bytes(base.read_bytes())

    monkeypatch.setattr(merge, "merge_gguf", without_effect)
    with pytest.raises(ArtifactError, match="merged GGUF file do not answer as the student does"):
        LoraMerge(store, uri, None, quiet).run(tmp_path / "merged", 40, AT)
    assert [path.name for path in tmp_path.iterdir() if "merged" in path.name] == []


def test_another_base_is_refused_by_name(store: ObjectStore, uri: str, other_base_folder: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{other_base_folder.name}.*name the base it was trained on by --base"
    ):
        LoraMerge(store, uri, str(other_base_folder), quiet)


def test_a_folder_that_exists_is_left_alone(data: Path, uri: str, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["students", "merge", uri[-64:], "--output", str(tmp_path), "--data", str(data)])
    assert result.exit_code == 2
    assert f"'{tmp_path}' exists: remove it, or name another folder" in result.output


def test_what_cannot_be_merged_is_named(data: Path, store: ObjectStore, uri: str, trained: Mapping[str, bytes]) -> None:
    classifier = keep(store, {}, kind="classifier", student="numerals@2")
    with pytest.raises(ArtifactError, match="numerals@2 is a classifier student; only a lora student has an adapter"):
        LoraMerge(store, classifier, None, quiet)
    (data / "artifacts" / uri / "adapter_model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        LoraMerge(store, uri, None, quiet)
    erased = keep(store, trained, dataset_digest="0" * 64)
    with pytest.raises(ArtifactError, match="the dataset of numerals@1, by which a merge is checked, is gone"):
        LoraMerge(store, erased, None, quiet)


def test_a_name_that_stands_for_several_students_or_none_lists_them(
    data: Path, store: ObjectStore, uri: str, trained: Mapping[str, bytes], tmp_path: Path
) -> None:
    other = keep(store, trained, student="numerals@3")
    for wanted, expected in (
        ("numerals", f"'numerals' names several lora students, choose one by its digest: numerals@1 {uri[10:22]}"),
        ("numerals@4", "there is no lora student 'numerals@4'"),
    ):
        result = RUNNER.invoke(
            app, ["students", "merge", wanted, "--output", str(tmp_path / "new"), "--data", str(data)]
        )
        assert result.exit_code == 2
        assert expected in result.output
        assert f"numerals@3 {other[10:22]}" in result.output
