"""Each answer of a student is audited beyond the draw, every day and later every other day."""

from datetime import timedelta

import pytest
from tests.support.router_fixtures import make_call

from understudies.router.call import Call
from understudies.router.routing.decision import TaskRoute
from understudies.router.serving import audits as module
from understudies.router.serving.audits import SpotCheckSchedule, TightenedInspection
from understudies.students.base import text_answer

ROUTE = TaskRoute("triage@1", "memory://a", threshold=0.8, share=1.0, spot_checks=True)
OTHER = TaskRoute("triage@2", "memory://b", threshold=0.8, share=1.0, spot_checks=True)


def due(checks: SpotCheckSchedule, answer: str, *, at: Call | None = None, route: TaskRoute = ROUTE) -> bool:
    return checks.take_due(at or make_call(), route, text_answer(answer, 0.9))


def later(days: float) -> Call:
    return make_call(minute=timedelta(days=days) / timedelta(minutes=1))


def test_the_first_of_each_answer_is_due_and_the_second_is_not() -> None:
    checks = SpotCheckSchedule()
    asked = ["refund", "refund", "card arrival", "Refund.", "card arrival"]
    assert [due(checks, answer) for answer in asked] == [True, False, True, False, False]


def test_it_is_due_again_the_next_day_of_utc() -> None:
    checks = SpotCheckSchedule()
    # Calls are counted from noon: half a day later is the next.
    moments = [0, 0.49, 0.51, 1.49, 1.51]
    assert [due(checks, "refund", at=later(days)) for days in moments] == [True, False, True, False, True]


def test_after_four_days_it_is_due_every_other_day() -> None:
    checks = SpotCheckSchedule()
    assert [day for day in range(12) if due(checks, "refund", at=later(day))] == [0, 1, 2, 3, 5, 7, 9, 11]


def test_an_answer_that_is_seldom_given_is_due_whenever_it_is() -> None:
    checks = SpotCheckSchedule()
    assert [due(checks, "refund", at=later(day)) for day in (0, 30, 60)] == [True] * 3


def test_each_student_is_checked_for_itself() -> None:
    checks = SpotCheckSchedule()
    assert due(checks, "refund")
    assert due(checks, "refund", route=OTHER)
    assert not due(checks, "refund")


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ANSWERS", 2)
    checks = SpotCheckSchedule()
    assert [due(checks, answer) for answer in ("a", "b", "c")] == [True] * 3
    assert [due(checks, answer) for answer in ("c", "b", "a")] == [False, False, True]


def test_four_answers_after_a_wrong_one_are_all_audited() -> None:
    inspection = TightenedInspection()
    assert inspection.take_probability("triage@1", 0.1) == 0.1
    inspection.tighten("triage@1")
    assert inspection.take_probability("triage@2", 0.1) == 0.1, "of another student"
    assert [inspection.take_probability("triage@1", 0.1) for _ in range(6)] == [1, 1, 1, 1, 0.1, 0.1]


def test_another_wrong_one_among_them_begins_them_anew() -> None:
    inspection = TightenedInspection()
    inspection.tighten("triage@1")
    assert [inspection.take_probability("triage@1", 0.1) for _ in range(3)] == [1, 1, 1]
    inspection.tighten("triage@1")
    assert [inspection.take_probability("triage@1", 0.1) for _ in range(5)] == [1, 1, 1, 1, 0.1]


def test_a_student_that_is_not_sampled_is_not_inspected() -> None:
    inspection = TightenedInspection()
    inspection.tighten("triage@1")
    assert [inspection.take_probability("triage@1", 0.0) for _ in range(2)] == [0, 0]


def test_the_inspection_remembers_a_bounded_number_of_students(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ANSWERS", 2)
    inspection = TightenedInspection()
    for name in ("a", "b", "c"):
        inspection.tighten(name)
    assert [inspection.take_probability(name, 0.1) for name in ("a", "b", "c")] == [0.1, 1, 1]
