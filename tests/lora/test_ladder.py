"""A LoRA student from the dataset to the answer, through the trainer's own selection."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message, tool_call_message
from tests.support.datasets import intents
from tests.support.orders import make_orders

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Request
from understudies.judges.registry import parse_judge
from understudies.students.base import Answer, Student, close_student
from understudies.students.lora.adapter import LoraAdapter
from understudies.students.lora.base_model import BaseShape
from understudies.students.lora.gguf_adapter import to_gguf
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.selection import select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, NotApplicable, TrainedStudent, TrainingData, train_lora


def numerals() -> Dataset:
    """Answers that are the intent and the message's own number of the intent, so that they are no closed set."""
    names = {"refund": "A", "card arrival": "B", "change pin": "C"}
    return intents(240, lambda intent, number: assistant_message(names[intent]))


def settings(base: Path, **lora: object) -> TrainerSettings:
    chosen = {
        "base": str(base),
        "rank": 8,
        "learning_rate": 1e-2,
        "epochs": 6,
        "batch_tokens": 1024,
        "row_tokens": 256,
        "evaluate_every": 10,
        "validation_examples": 12,
        "threads": 1,
        "precision": "float32",
        **lora,
    }
    return TrainerSettings(kinds=("lora",), lora=LoraTrainingSettings.model_validate(chosen))


def test_a_student_is_trained_converted_validated_and_loads_from_its_files(base_folder: Path) -> None:
    data = TrainingData(numerals(), parse_judge("exact"), 1)
    selection = select_student(TRAINERS, data, settings(base_folder), 0.95)
    [candidate] = selection.candidates
    trained = candidate.outcome
    assert isinstance(trained, TrainedStudent)
    assert candidate.validation.agreement >= 0.9
    assert candidate.validation.expected_coverage >= 0.9
    assert trained.licence == "apache-2.0"
    assert trained.base_model == str(base_folder)
    assert trained.metrics["answered_as_trained"] == 1.0
    assert set(trained.files) >= {"adapter.gguf", "adapter_model.safetensors", "adapter_config.json", "lora.json"}
    assert str(base_folder) in trained.files["lora.json"].decode()
    assert selection.best(settings(base_folder)) is candidate

    engine = LlamaCppEngine(LoraServingSettings(base=str(base_folder), slot_tokens=512, engine_threads=1))
    loaded = LoraStudent.from_files(trained.files, engine)
    [answer] = asyncio.run(ask(loaded, data.dataset.examples[0].request))
    assert answer.text == "A"


def test_a_student_that_calls_functions_is_trained_and_answers_with_calls(base_folder: Path) -> None:
    names = {"refund": "refund", "card arrival": "track", "change pin": "reset"}
    calls = intents(240, lambda intent, number: tool_call_message((names[intent], f'{{"urgent":{number % 3}}}')))
    data = TrainingData(calls, parse_judge("tool_calls"), 1)
    trained = train_lora(data, settings(base_folder))
    assert isinstance(trained, TrainedStudent)
    assert trained.metrics["answered_as_trained"] == 1.0
    [answer] = asyncio.run(ask(trained.student, calls.examples[1].request))
    [call] = answer.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("track", '{"urgent": 1}')


def test_a_student_whose_answers_an_extractor_finds_too_is_checked_by_one(base_folder: Path) -> None:
    orders = [replace_split(one, number) for number, one in enumerate(make_orders(240, seed=1))]
    judge = parse_judge("json")
    trained = train_lora(TrainingData(Dataset("t", tuple(orders)), judge, 1), settings(base_folder, max_steps=2))
    assert isinstance(trained, TrainedStudent)
    metrics: Any = trained.metrics["verifier"]
    assert metrics["confirmed"] == 0.0, "two steps teach it nothing, and noise is not confirmed"
    is_kept = any(name.startswith("verifier-") for name in trained.files)
    assert ("verifier" in trained.hyper_parameters) == is_kept
    assert isinstance(trained.student, LoraStudent)
    engine = LlamaCppEngine(LoraServingSettings(base=str(base_folder), slot_tokens=512, engine_threads=1))
    assert LoraStudent.from_files(trained.files, engine).to_files() == trained.files


def replace_split(example: Example, number: int) -> Example:
    """One in five for validation."""
    return example.model_copy(update={"split": "validation" if number % 5 == 0 else "train"})


async def ask(student: Student, request: Request) -> list[Answer]:
    """Ask, and close the student."""
    try:
        return await student.answer([request])
    finally:
        await close_student(student)


def test_what_cannot_be_trained_is_not_applicable_with_the_reason(base_folder: Path, tmp_path: Path) -> None:
    data = TrainingData(numerals(), parse_judge("exact"), 1)
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in base_folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"\x00" * 64)
    found = train_lora(data, settings(broken))
    assert isinstance(found, NotApplicable)
    assert "training failed" in found.reason
    found = train_lora(data, settings(base_folder, quantization="nf4", device="cpu"))
    assert isinstance(found, NotApplicable)
    assert found.reason.startswith("quantization nf4 needs CUDA, bitsandbytes")
    assert found.reason.endswith("UNDERSTUDIES_LORA_QUANTIZATION=none trains without it")


def test_an_adapter_that_is_not_served_as_it_was_trained_is_refused(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that loses the updates stands for whatever may be wrong with one."""

    def without_effect(adapter: LoraAdapter, shape: BaseShape) -> bytes:
        updates = {name: replace(update, scaling=0.0) for name, update in adapter.updates.items()}
        return to_gguf(replace(adapter, updates=updates), shape)

    monkeypatch.setattr("understudies.trainer.lora.trainer.to_gguf", without_effect)
    found = train_lora(TrainingData(numerals(), parse_judge("exact"), 1), settings(base_folder))
    assert isinstance(found, NotApplicable)
    assert found.reason.startswith("the adapter is not served as it was trained: of ")


def test_a_folder_for_work_keeps_the_checkpoint_of_a_training_that_did_not_end(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = TrainingData(numerals(), parse_judge("exact"), 1)
    monkeypatch.setattr("understudies.trainer.lora.run._GRACE_S", 0.0)
    limited = settings(base_folder, work=tmp_path / "work", checkpoint_every=1, max_seconds=0.01)
    found = train_lora(data, limited)
    assert isinstance(found, NotApplicable)
    assert "status -9" in found.reason
    [folder] = (tmp_path / "work").iterdir()
    assert (folder / "job.json").is_file()
    monkeypatch.undo()
    assert isinstance(train_lora(data, settings(base_folder, work=tmp_path / "work", max_steps=2)), TrainedStudent)
    assert list((tmp_path / "work").iterdir()) == [folder]
