from pathlib import Path
from typing import Any

import pytest
from tests.support.lora_adapters import adapter_files
from tests.support.lora_students import question, student
from tests.support.peft_answers import peft_first_tokens
from tests.support.tiny_base import write_tiny_base

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.adapter import read_adapter
from understudies.students.lora.base_model import find_base
from understudies.students.lora.gguf_adapter import to_gguf
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings

QUESTIONS = ["where is my order", "cancel order three", "thank you", "refund two", "status", "change one please"]


async def check_same_answers(base: Path, files: dict[str, bytes], folder: Path) -> None:
    """Compare probabilities: which of two tokens is likelier is a matter of rounding in a model of random weights."""
    engine = LlamaCppEngine(LoraServingSettings(base=str(base), slots=2, slot_tokens=256, engine_threads=1))
    served = student(base, files, engine)
    try:
        answers = await served.answer([question(text, max_tokens=1) for text in QUESTIONS])
    finally:
        await served.close()
    expected = peft_first_tokens(base, files, folder, QUESTIONS)
    assert [answer.confidence for answer in answers] == pytest.approx([likely for _, likely in expected], rel=0.03)
    same = [answer.text == text for answer, (text, _) in zip(answers, expected, strict=True)]
    assert sum(same) >= len(QUESTIONS) - 1
    # As sure of each would be a model that ignores its adapter, or its input.
    assert len({round(answer.confidence, 3) for answer in answers}) > len(QUESTIONS) / 2


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"ranks": {"q_proj": 8, "down_proj": 2}, "alpha_pattern": {"v_proj": 24, "layers.1.mlp.up_proj": 2}},
    ],
    ids=["plain", "rank-stabilised", "patterns"],
)
async def test_llama_cpp_answers_as_peft_does(base_folder: Path, tmp_path: Path, config: dict[str, Any]) -> None:
    await check_same_answers(base_folder, adapter_files(6, **config), tmp_path)


async def test_the_rows_of_an_architecture_that_rotates_halves_stay_as_they_are(tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base", kind="qwen2")
    await check_same_answers(base, adapter_files(4), tmp_path / "adapter")


def test_another_architecture_and_another_shape_are_refused(base_folder: Path) -> None:
    shape = find_base(str(base_folder)).shape
    with pytest.raises(ArtifactError, match="'mamba' base are not converted"):
        to_gguf(read_adapter(adapter_files()), shape.model_copy(update={"model_type": "mamba"}))
    with pytest.raises(ArtifactError, match="base of 4 layers"):
        to_gguf(read_adapter(adapter_files(layers=4)), shape)


def test_the_shape_of_a_lone_gguf_file_is_that_of_its_folder(base_folder: Path) -> None:
    folder, file = find_base(str(base_folder)), find_base(str(base_folder / "base.gguf"))
    assert file.shape == folder.shape
    assert file.digest == folder.digest
    assert file.licence == folder.licence == "apache-2.0"
    assert file.weights == file.gguf
