"""The rung of decision APIs by a real model: a sentence encoder that was never trained on the task decides."""

import asyncio
from decimal import Decimal

import pytest
from bench.decisions import zero_shot
from tests.support.datasets import intents
from tests.support.decision_server import decision_server

from understudies.judges.choice import choose_judge
from understudies.students.base import close_student
from understudies.trainer.selection import select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, TrainedStudent, TrainingData

TEACHER_USD = Decimal("0.03")


async def test_a_model_that_was_never_trained_on_a_task_decides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = intents(150)
    judge = choose_judge([one.answer for one in data.examples])
    async with decision_server(zero_shot(10.0)) as server:
        named = "UNDERSTUDIES_ENDPOINTS__JURY__"
        monkeypatch.setenv(f"{named}BASE_URL", server.base_url)
        monkeypatch.setenv(f"{named}MODEL", "zero-shot")
        monkeypatch.setenv(f"{named}API", "decisions")
        monkeypatch.setenv(f"{named}USD_PER_MILLION_PROMPT_TOKENS", "0.05")
        settings = TrainerSettings(decision_endpoint="jury", kinds=("decision",))
        lesson = TrainingData(data, judge, 0, teacher_cost_usd=TEACHER_USD, student="triage@1")
        selection = await asyncio.to_thread(select_student, TRAINERS, lesson, settings, 0.95)
        best = selection.best(settings)
        assert best is not None, selection.rejection_reason(settings)
        assert isinstance(best.outcome, TrainedStudent)
        # By chance it would be a third.
        assert best.validation.agreement > 0.6, best.validation.summary()
        assert 0 < best.answer_cost < TEACHER_USD
        [answer] = await best.outcome.student.answer([data.examples[0].request])
        assert 0 < answer.confidence <= 1
        await close_student(best.outcome.student)
