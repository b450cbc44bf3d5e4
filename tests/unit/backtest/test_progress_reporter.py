"""What a backtest shows of itself while it plays."""

from decimal import Decimal
from io import StringIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console
from tests.support.backtest_outcomes import hourly_calls, make_outcomes
from tests.support.budget_harness import (
    SETTINGS,
    BudgetHarness,
    at_hour,
    gate_decision,
    promotion_stage,
    student_name,
    teacher_calls,
)

from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.progress_reporter import ProgressReporter, task_phase
from understudies.embedded.platform import Platform
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.stats.bounds import anytime_lower_bound
from understudies.stats.coverage import Threshold
from understudies.stats.selective import SelectiveGate

TASK = "triage"


class Heard(ProgressDisplay):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(Console(file=StringIO()))
        self.told: list[dict[str, Any]] = []

    def update(self, task: str, *args: Any, **state: Any) -> None:
        self.told.append({"task": task, **state})


async def told(
    office: BudgetHarness, hour: float, played: int, trials: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What is shown after some of ten calls."""
    evaluator = SimpleNamespace(evaluation=SimpleNamespace(trials=trials or {}))
    platform = cast(Platform, SimpleNamespace(budget=office.app, evaluator=evaluator))
    heard = Heard()
    await ProgressReporter(platform, await make_outcomes(hourly_calls(10)), heard)(at_hour(hour), played)
    return heard.told


async def test_before_any_student_a_task_is_recorded_and_saved_nothing() -> None:
    office = BudgetHarness(settings=SETTINGS.model_copy(update={"min_examples": 1000}))
    await office.handle(*teacher_calls(100))
    assert await told(office, 1, 5) == [
        {
            "task": TASK,
            "phase": "recording",
            "agreement": None,
            "lower": None,
            "served_share": 0.0,
            "saved": Decimal(0),
            "fraction_done": 0.5,
        }
    ]


async def test_a_task_goes_through_its_phases() -> None:
    office = BudgetHarness()
    await office.start_trial()
    assert task_phase(office.app, TASK, at_hour(2)) == "trial"
    await office.handle(gate_decision(hour=26))
    await office.tick(26)
    assert task_phase(office.app, TASK, at_hour(26)) == "serving"
    await office.handle(promotion_stage("demoted", hour=30))
    assert task_phase(office.app, TASK, at_hour(30)) in ("recording", "kept with the teacher")


async def test_a_critical_task_is_kept_with_the_teacher() -> None:
    office = BudgetHarness(Rules(tasks={TASK: TaskRules(critical=True)}))
    await office.handle(*teacher_calls(100))
    (state,) = await told(office, 1, 10)
    assert state["phase"] == "kept with the teacher"
    assert state["fraction_done"] == 1


@pytest.mark.parametrize(
    ("agreed", "forward", "least"),
    [(30, (60, 60), (30, 30)), (27, (60, 60), (27, 30)), (30, (50, 60), (50, 60)), (30, (0, 0), None)],
)
async def test_agreement_is_that_of_the_gate_and_its_bound_the_lesser_of_inputs_and_calls(
    agreed: int, forward: tuple[int, int], least: tuple[int, int] | None
) -> None:
    office = BudgetHarness()
    await office.start_trial()
    gate = SelectiveGate([Threshold(0.5, 1.0)])
    for number in range(30):
        gate.update(float(number < agreed), 0.9)
    tail = SimpleNamespace(agreement_counts=lambda index: forward)
    trial = SimpleNamespace(
        promotion=SimpleNamespace(threshold=None), selective_gate=gate, call_gate=SimpleNamespace(tail_gate=tail)
    )
    (state,) = await told(office, 2, 10, {student_name(): trial})
    lower = None if least is None else anytime_lower_bound(*least)
    assert (state["agreement"], state["lower"]) == (agreed / 30, lower)


async def test_a_trial_without_verdicts_has_no_agreement() -> None:
    office = BudgetHarness()
    await office.start_trial()
    trial = SimpleNamespace(
        promotion=SimpleNamespace(threshold=0.5), selective_gate=SelectiveGate([Threshold(0.5, 1.0)])
    )
    (state,) = await told(office, 2, 10, {student_name(): trial})
    assert (state["agreement"], state["lower"]) == (None, None)
