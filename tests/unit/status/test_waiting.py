"""The phase of a task and what it waits for, from the budget's own state."""

from typing import Any

import pytest
from tests.support.budget_harness import (
    SETTINGS,
    TASK,
    BudgetHarness,
    at_hour,
    audit_verdict,
    change_event,
    drift_event,
    gate_decision,
    promotion_stage,
    self_agreement_verdict,
    student_name,
    teacher_call,
    teacher_calls,
)
from tests.unit.budget.test_steering import MANUAL, decision

from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.status.standing import TrialProgress
from understudies.status.waiting import describe_wait, find_phase


def told(house: BudgetHarness, hour: float, **known: Any) -> tuple[str, str]:
    """The phase and what is waited for, so many hours after Monday."""
    now = at_hour(hour)
    state, appraisal = house.app.task_state(TASK), house.app.appraisal(TASK, now)
    phase = find_phase(state, appraisal, critical=house.rules.for_task(TASK).critical)
    return phase, describe_wait(state, appraisal, SETTINGS, now, phase=phase, **known)


async def test_before_a_whole_hour_nothing_is_said_of_what_would_pay() -> None:
    house = BudgetHarness()
    await house.handle(*teacher_calls(20, 0.1))
    assert told(house, 0.9) == (
        "recording",
        "examples: 20 of the 60 needed; whether a student pays is known after a whole hour of calls",
    )


async def test_while_it_records_the_missing_examples_are_told_with_their_pace() -> None:
    house = BudgetHarness()
    await house.handle(*teacher_calls(30, 0))
    assert told(house, 3) == (
        "recording",
        "examples: 30 of the 60 needed, about 3 h more at the pace so far",
    )


async def test_a_task_that_would_not_pay_is_recorded_until_it_has_the_examples_and_then_kept() -> None:
    house = BudgetHarness()
    await house.handle(*teacher_calls(30, 0, cost="0.0001"))
    phase, wait = told(house, 2)
    assert phase == "recording"
    assert wait.startswith("examples: 30 of the 60 needed; so far a student would not pay: the student costs $0.0002")
    await house.handle(*teacher_calls(60, 2, first=30, cost="0.0001"))
    phase, wait = told(house, 4)
    assert phase == "kept with the teacher"
    assert wait.startswith("a change: the student costs $0.0002 a call, no less than the teacher's")


async def test_a_teacher_that_disagrees_with_itself_keeps_the_task_at_once() -> None:
    house = BudgetHarness()
    await house.handle(
        *teacher_calls(30, 0), *(self_agreement_verdict(number % 2 == 0, number) for number in range(40))
    )
    phase, wait = told(house, 2)
    assert phase == "kept with the teacher"
    assert wait.startswith("a change: the teacher agrees with itself on 20 of 40 calls")


async def test_a_critical_task_waits_for_nothing() -> None:
    house = BudgetHarness(Rules(tasks={TASK: TaskRules(critical=True)}))
    await house.handle(*teacher_calls(100, 0))
    assert told(house, 2) == ("critical", "nothing: it is declared critical and stays with the teacher")


async def test_each_step_of_a_trial_is_told() -> None:
    house = BudgetHarness()
    await house.authorise_first()
    assert told(house, 1) == ("trial", "its dataset, which is collected from the recorded calls (triage@1)")
    await house.handle(promotion_stage("collected", hour=1.5))
    assert told(house, 1.6) == ("trial", "its training (triage@1)")
    far = "lora, step 40 of 200"
    assert told(house, 1.6, training=far) == ("trial", "its training (triage@1): lora, step 40 of 200")
    await house.handle(promotion_stage("trained", hour=2))
    assert told(house, 2.1) == ("trial", "the trial of triage@1")
    progress = TrialProgress(
        input_evidence=3.5, call_evidence=1, evidence_needed=22.22, verdicts=40, calls=90, whole_days=1
    )
    assert told(house, 3, progress=progress)[1] == (
        "calls on which triage@1 can be judged; 40 held-out verdicts so far"
    )
    assert told(house, 3, progress=progress, next_look=at_hour(50))[1] == (
        "the look at the gates of triage@1 at 2026-01-07 02:00 UTC; so far 40 verdicts on distinct inputs and 90 on "
        "calls in 1 whole day, evidence 3.5 and 1 of 22.2"
    )


async def test_a_canary_waits_for_its_audits_and_its_time() -> None:
    house = BudgetHarness()
    await house.promote_first(share=0.05)
    await house.handle(*(audit_verdict(hour=27) for _ in range(4)), audit_verdict(False, hour=28))
    assert told(house, 30) == (
        "serving",
        "the next share, 25%: 5 of the 10 audits needed, of which 4 agreed, and not before 2026-01-07 02:00 UTC",
    )
    assert told(house, 60)[1] == "the next share, 25%: 5 of the 10 audits needed, of which 4 agreed"


async def test_a_student_that_serves_everything_leaves_its_successor_to_wait_for() -> None:
    house = BudgetHarness()
    await house.promote_first()
    assert told(house, 80)[1].startswith("nothing: a successor would not pay: $1.14 does not pay back within 4 weeks")
    await house.handle(*(teacher_call(0, 101) for _ in range(2000)))
    assert told(house, 102) == ("serving", "a successor: 100 of the 200 examples needed")
    successor = BudgetHarness()
    hour = await successor.start_successor_trial()
    assert told(successor, hour) == ("serving", "the trial of its successor triage@2, which is trained")


async def test_a_student_that_serves_every_call_has_no_successor_to_wait_for() -> None:
    house = BudgetHarness()
    await house.promote_first(coverage=1.0)
    assert told(house, 80) == (
        "serving", "nothing: a successor is not expected to serve more calls than triage@1 does",
    )  # fmt: skip


async def test_what_holds_a_serving_student_back_is_told_first() -> None:
    house = BudgetHarness()
    await house.promote_first()
    assert told(house, 80, not_loaded="no such file") == (
        "serving",
        "the files of triage@1; the teacher answers until it can be loaded: no such file",
    )
    await house.handle(change_event(hour=81, cause="teacher"))
    assert told(house, 82) == (
        "serving",
        "a new proof, at the canary share until then: another model answers as the teacher",
    )
    await house.handle(drift_event(hour=83))
    assert told(house, 83) == ("drifted", "the demotion of triage@1; the teacher answers")
    assert await house.tick_stages(84) == [(student_name(), "demoted")]
    phase, wait = told(house, 85)
    assert phase == "drifted"
    assert wait.startswith("examples: 0 of the 60 needed")


@pytest.mark.parametrize("decided", ["reject", "inconclusive"])
async def test_after_a_rejected_student_more_examples_are_recorded(decided: str) -> None:
    house = BudgetHarness()
    await house.start_trial()
    await house.handle(gate_decision(decided, hour=26))
    assert await house.tick_stages(26) == [(student_name(), "rejected")]
    phase, wait = told(house, 27)
    assert (phase, wait.partition(";")[0]) == ("recording", "examples: 100 of the 200 needed")


async def test_a_paused_task_waits_for_its_resumption() -> None:
    house = BudgetHarness()
    await house.promote_first()
    await house.handle(decision("pause", 99))
    assert told(house, 99) == (
        "paused",
        "its resumption by `understudies steer resume`; the teacher answers until then",
    )


async def test_a_proven_student_may_wait_for_its_approval() -> None:
    house = BudgetHarness(MANUAL)
    await house.start_trial()
    phase, wait = told(house, 27, awaiting_approval=student_name())
    assert (phase, wait) == ("trial", "the approval of triage@1, which is proven: `understudies steer approve`")
