"""Whether the next student is worth it, from what is known of the task."""

from decimal import Decimal
from typing import Any

import pytest
from tests.support.budget_harness import (
    LABELS,
    SETTINGS,
    TASK,
    at_hour,
    drift_event,
    gate_decision,
    promotion_stage,
    self_agreement_verdict,
    student_name,
    teacher_call,
    teacher_calls,
    trained_promotion,
)

from understudies.budget.appraisal import Appraisal, appraise, count_needed_examples
from understudies.budget.investment import audit_rate
from understudies.budget.settings import BudgetSettings
from understudies.budget.task_state import TaskState
from understudies.events import Event
from understudies.runtime.rules.task import TaskRules


def folded(*events: Event) -> TaskState:
    book = TaskState(TASK)
    for event in events:
        book.fold(event)
    return book


def appraised(*events: Event, hour: float = 1, **rules: Any) -> Appraisal:
    return appraise(folded(*events), TaskRules(**rules), SETTINGS, at_hour(hour))


def tried(version: int = 1, *, examples: int = 100, hour: float = 1, last: str = "rejected") -> list[Event]:
    """A student that was authorised with so many examples, and how it ended."""
    return [
        promotion_stage("authorised", version, hour, evidence={"examples": examples}),
        promotion_stage(last, version, hour),
    ]


def test_a_task_that_pays_back_is_authorised_with_its_numbers() -> None:
    found = appraised(*teacher_calls(100))
    assert (found.verdict, found.needed_examples) == ("authorise", 60)
    assert found.reason.startswith("$0.54 pays back within a week: break-even takes ")
    numbers = found.investment_numbers
    assert numbers["weekly_calls"] == 100 * 168
    assert numbers["weekly_calls_lower"] == 100 * 168 // 4
    assert numbers["teacher_cost_usd"] == "0.01"
    assert (numbers["training_cost_usd"], numbers["evidence_cost_usd"]) == ("0.5", "0.04")
    assert numbers["break_even_calls"] < numbers["weekly_calls_lower"]


def test_a_task_that_allows_no_student_stays_with_the_teacher() -> None:
    assert appraised(*teacher_calls(100), students=()).reason == "the rules allow no student"
    assert appraised(*teacher_calls(100), students=("classifier",)).verdict == "authorise"


def test_it_waits_for_examples() -> None:
    found = appraised(*teacher_calls(59), teacher_call(3))
    assert (found.verdict, found.reason) == ("wait", "59 of the 60 examples needed")
    assert appraised(*teacher_calls(60)).verdict == "authorise"


def test_a_critical_task_stays_with_the_teacher() -> None:
    found = appraised(*teacher_calls(100), critical=True)
    assert (found.verdict, found.reason) == ("refuse", "declared critical: it stays with the teacher")
    assert found.investment_numbers == {}


def test_free_text_is_refused_with_what_was_measured() -> None:
    letters = [teacher_call(number, answer=f"Dear customer {number}, " + "thank you " * 30) for number in range(500)]
    found = appraised(*letters)
    assert found.verdict == "refuse"
    assert "free text" in found.reason
    assert found.investment_numbers["expected_share"] == 0


def test_a_task_below_break_even_is_refused_with_the_numbers() -> None:
    found = appraised(*teacher_calls(100, cost="0.0001"))
    assert found.verdict == "refuse"
    assert found.reason == "The student costs $0.0002 a call, no less than the teacher's $0.0001."
    rare = appraised(*teacher_calls(60), hour=48)
    assert rare.verdict == "refuse"
    assert "does not pay back within a week" in rare.reason
    assert rare.investment_numbers["break_even_calls"] > rare.investment_numbers["weekly_calls_lower"]


def test_a_teacher_that_contradicts_itself_is_refused() -> None:
    asked = [self_agreement_verdict(number % 10 > 3, number) for number in range(100)]
    assert appraised(*teacher_calls(100), *asked[:29]).verdict == "authorise"
    found = appraised(*teacher_calls(100), *asked)
    assert found.verdict == "refuse"
    assert found.reason.startswith("the teacher agrees with itself on 60 of 100 calls, so no student can agree on more")
    assert appraised(*teacher_calls(100), *asked, min_agreement=0.6).verdict == "authorise"


def test_it_waits_for_the_student_on_its_way() -> None:
    found = appraised(*teacher_calls(1000), promotion_stage("authorised"))
    assert (found.verdict, found.reason) == ("wait", f"{student_name()} is in progress: authorised")


def test_a_rejected_student_is_tried_again_at_twice_its_examples() -> None:
    assert appraised(*tried(), *teacher_calls(199)).reason == "199 of the 200 examples needed"
    assert appraised(*tried(), *teacher_calls(200)).verdict == "authorise"
    assert count_needed_examples(folded(*tried(1, examples=100), *tried(2, examples=200)), SETTINGS) == 400


def test_after_a_rejection_more_examples_are_asked_for_than_after_a_promotion() -> None:
    settings = SETTINGS.model_copy(update={"growth": 1.5, "growth_after_rejection": 2.0})
    assert count_needed_examples(folded(*tried(examples=100, last="rejected")), settings) == 200
    assert count_needed_examples(folded(*tried(examples=100, last="retired")), settings) == 150


def test_two_students_of_a_task_are_a_rest_apart() -> None:
    settings = SETTINGS.model_copy(update={"rest_hours": 24.0})
    book = folded(*tried(hour=1), *teacher_calls(200), *teacher_calls(200, 23))
    found = appraise(book, TaskRules(), settings, at_hour(24.9))
    assert (found.verdict, found.reason) == ("wait", f"{student_name()} was authorised recently")
    assert appraise(book, TaskRules(), settings, at_hour(25)).verdict == "authorise"


def test_students_before_a_drift_do_not_raise_the_bar() -> None:
    book = folded(*tried(), *tried(2, examples=500, last="demoted", hour=5))
    assert count_needed_examples(book, SETTINGS) == 60


def test_a_task_of_many_classes_takes_examples_of_each() -> None:
    settings = SETTINGS.model_copy(update={"examples_per_class": 50})
    assert count_needed_examples(folded(*teacher_calls(100)), settings) == 50 * len(LABELS)


def test_answers_given_once_are_no_classes() -> None:
    settings = SETTINGS.model_copy(update={"examples_per_class": 15})
    odd = [teacher_call(900 + number, answer=f"I am not sure about {number}") for number in range(100)]
    book = folded(*teacher_calls(900), *odd)
    assert book.profile.kind == "closed_set"
    assert count_needed_examples(book, settings) == 60


def in_force(coverage: float) -> list[Event]:
    return [
        promotion_stage("authorised", evidence={"examples": 100}),
        trained_promotion(coverage=coverage),
        gate_decision(coverage=coverage),
        promotion_stage("promoted", share=1.0, threshold=0.8, evidence={"coverage": coverage}),
    ]


def test_a_successor_is_worth_what_it_adds() -> None:
    found = appraised(*teacher_calls(200), *in_force(0.6))
    assert found.verdict == "authorise"
    assert found.investment is not None
    assert found.investment.expected_share == pytest.approx(0.1)
    # Of the 200 verdicts, 100 are on calls of which the incumbent serves 60, each audited at a call of the teacher.
    assert found.investment.evidence_cost == Decimal("0.04") + 60 * Decimal("0.01")
    assert found.investment.student_cost == 0


def test_a_successor_that_can_add_nothing_is_refused() -> None:
    found = appraised(*teacher_calls(200), *in_force(1.0))
    assert found.verdict == "refuse"
    assert found.investment_numbers["expected_share"] == 0


def test_a_successor_pays_back_within_weeks() -> None:
    found = appraised(*teacher_calls(200), *in_force(0.6), hour=24)
    assert found.verdict == "authorise"
    assert "pays back within 4 weeks" in found.reason
    assert found.investment is not None
    assert found.investment.horizon_weeks == SETTINGS.successor_weeks


def test_a_successor_that_adds_little_to_few_calls_is_refused() -> None:
    weekly = SETTINGS.model_copy(update={"successor_weeks": 1.0})
    found = appraise(folded(*teacher_calls(200), *in_force(0.6)), TaskRules(), weekly, at_hour(24))
    assert found.verdict == "refuse"
    assert "does not pay back within a week" in found.reason
    assert appraised(*teacher_calls(200), *in_force(0.6), hour=24 * 7).verdict == "refuse"


def test_a_successor_can_add_nothing_where_every_call_reaches_the_threshold() -> None:
    decided = gate_decision(coverage=0.6)
    reached = decided.model_copy(update={"evidence": {**decided.evidence, "chosen": {"coverage": 1.0}}})
    found = appraised(*teacher_calls(200), *in_force(0.6), reached)
    assert found.verdict == "refuse"
    assert found.investment is not None
    assert found.investment.expected_share == 0.0


def test_a_successor_takes_twice_the_examples() -> None:
    assert appraised(*teacher_calls(199), *in_force(0.6)).reason == "199 of the 200 examples needed"


def test_what_validation_promised_of_a_student_before_is_expected_of_the_next() -> None:
    events = [*tried(), trained_promotion(coverage=0.8), promotion_stage("rejected"), *teacher_calls(200)]
    found = appraised(*events).investment
    assert found is not None
    assert found.expected_share == 0.8


def test_after_a_drift_the_next_student_is_a_first_one() -> None:
    found = appraised(*in_force(0.6), drift_event(), promotion_stage("demoted", hour=0.5), *teacher_calls(60, 0.6))
    assert found.verdict == "authorise"
    assert found.investment is not None
    assert found.investment.student_cost == SETTINGS.student_cost_usd


@pytest.mark.parametrize(("served_per_day", "rate"), [(0, 0.25), (4, 0.25), (50, 0.1), (1000, 0.02), (1e6, 0.02)])
def test_audits_keep_their_pace_and_never_stop_and_leave_something_to_save(served_per_day: float, rate: float) -> None:
    assert audit_rate(served_per_day, SETTINGS) == rate


@pytest.mark.parametrize(("served_per_day", "rate"), [(0, 1.0), (4, 1.0), (10, 1.0), (50, 0.2), (1000, 0.02)])
def test_on_the_ramp_audits_come_as_fast_as_a_step_takes_them(served_per_day: float, rate: float) -> None:
    assert audit_rate(served_per_day, SETTINGS, share=0.25) == rate


@pytest.mark.parametrize(("share", "rate"), [(0.1, 0.06), (0.4, 0.21), (0.5, 0.21)])
def test_a_later_step_of_the_ramp_takes_more_audits_within_its_time(share: float, rate: float) -> None:
    assert audit_rate(4000, BudgetSettings(), share=share) == rate


def test_steps_without_a_least_time_are_audited_at_the_usual_pace() -> None:
    assert audit_rate(50, SETTINGS.model_copy(update={"step_hours": 0}), share=0.25) == 0.1
