"""What changes about a task's calls: another teacher, other traffic, a kind of day that was not judged."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from understudies.evaluator.change_monitor import CanaryRestriction, ChangeMonitor

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
SATURDAY = MONDAY + timedelta(days=5)


def new(*teachers: str) -> ChangeMonitor:
    return ChangeMonitor.create([0.9, 0.5], teachers or ("teacher-1",), 0.95)


def judged(changes: ChangeMonitor, at: datetime, n: int, failures: int = 0, confidence: float = 0.95) -> ChangeMonitor:
    for number in range(n):
        changes.observe_verdict(at, float(number >= failures), confidence)
    return changes


def test_a_new_teacher_counts_from_its_third_answer() -> None:
    changes = new()
    assert [changes.observe_teacher("teacher-2", MONDAY) for _ in range(3)] == [
        None,
        None,
        CanaryRestriction("teacher", MONDAY),
    ]
    assert changes.restriction == CanaryRestriction("teacher", MONDAY)
    changes.lift()
    assert [changes.observe_teacher("teacher-2", MONDAY) for _ in range(3)] == [None] * 3, "it is no news any more"


def test_teachers_that_it_learned_from_and_unnamed_ones_are_no_change() -> None:
    changes = new("teacher-1", "teacher-2")
    assert [changes.observe_teacher(model, MONDAY) for model in ["teacher-1", "teacher-2", ""] * 4] == [None] * 12


def test_slips_of_several_models_do_not_add_up() -> None:
    changes = new()
    assert [changes.observe_teacher(f"teacher-{n % 3 + 2}", MONDAY) for n in range(6)] == [None] * 6


def test_where_no_teacher_is_known_the_first_is_taken_for_it() -> None:
    changes = ChangeMonitor.create([0.5], [], 0.95)
    assert [changes.observe_teacher("teacher-1", MONDAY) for _ in range(4)] == [None] * 4
    assert [changes.observe_teacher("teacher-2", MONDAY) is not None for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(("n", "held"), [(59, True), (60, False)])
def test_a_kind_of_day_is_held_where_too_few_of_its_calls_were_judged(n: int, held: bool) -> None:
    changes = judged(new(), SATURDAY, n)
    assert (changes.observe_served(SATURDAY, 0.5) is not None) == held


def test_verdicts_on_what_is_not_served_do_not_count_for_a_kind_of_day() -> None:
    changes = judged(new(), SATURDAY, 100, confidence=0.6)
    assert changes.observe_served(SATURDAY, 0.9) == CanaryRestriction("calendar", SATURDAY)


def test_a_kind_of_day_is_asked_about_once() -> None:
    changes = new()
    assert changes.observe_served(SATURDAY, 0.5) is not None
    changes.lift()
    assert changes.observe_served(SATURDAY + timedelta(days=1), 0.5) is None
    assert changes.observe_served(MONDAY, 0.5) is not None


@pytest.mark.parametrize(("n", "failures", "good"), [(59, 0, False), (60, 0, True), (60, 3, True), (60, 7, False)])
def test_a_day_is_good_once_enough_verdicts_do_not_speak_against_it(n: int, failures: int, good: bool) -> None:
    changes = new()
    changes.observe_served(SATURDAY, 0.5)
    assert judged(changes, SATURDAY, n, failures).is_day_type_proven(0.5) == good


def test_what_is_no_hold_for_a_day_is_not_ended_by_one() -> None:
    changes = judged(new(), SATURDAY, 100)
    assert not changes.is_day_type_proven(0.5)
    changes.on_coverage_shift(SATURDAY)
    assert not changes.is_day_type_proven(0.5)


def test_a_kind_of_day_on_which_it_fails_is_named() -> None:
    changes = judged(judged(new(), MONDAY, 200, 4), SATURDAY, 60, 20)
    assert changes.failing_day_types(0.5) == ["day=weekend"]


def test_where_it_fails_on_all_days_it_is_not_the_day() -> None:
    assert judged(new(), MONDAY, 60, 20).failing_day_types(0.5) == []
    assert judged(judged(new(), MONDAY, 60, 20), SATURDAY, 60, 20).failing_day_types(0.5) == []


def test_what_asks_for_a_whole_proof_replaces_what_asks_for_a_look_and_not_the_other_way_round() -> None:
    changes = new()
    changes.observe_served(SATURDAY, 0.5)
    assert changes.on_coverage_shift(SATURDAY) == CanaryRestriction("traffic", SATURDAY)
    assert changes.observe_served(MONDAY, 0.5) is None
    assert changes.restriction == CanaryRestriction("traffic", SATURDAY)


def test_a_kind_of_day_that_begins_under_another_restriction_is_asked_about_after_it() -> None:
    changes = judged(new(), MONDAY, 100)
    changes.on_coverage_shift(SATURDAY - timedelta(days=1))
    assert changes.observe_served(SATURDAY, 0.5) is None
    changes.lift()
    later = SATURDAY + timedelta(hours=6)
    assert changes.observe_served(later, 0.5) == CanaryRestriction("calendar", later)


def test_a_second_retirement_begins_the_proof_under_way_anew() -> None:
    changes = new()
    changes.on_retirement(MONDAY)
    assert changes.on_retirement(SATURDAY) == changes.restriction == CanaryRestriction("teacher", SATURDAY)


def test_another_teacher_begins_the_proof_under_way_anew() -> None:
    changes = new()
    changes.on_coverage_shift(SATURDAY)
    found = [changes.observe_teacher("teacher-2", MONDAY) for _ in range(3)]
    assert found == [None, None, CanaryRestriction("teacher", MONDAY)]
    assert changes.restriction == CanaryRestriction("teacher", MONDAY)


def test_state_round_trips_and_goes_on() -> None:
    changes = judged(new(), MONDAY, 30, 2)
    changes.observe_teacher("teacher-2", MONDAY)
    changes.observe_served(SATURDAY, 0.5)
    restored = ChangeMonitor.from_state(json.loads(json.dumps(changes.state())))
    assert restored.state() == changes.state()
    for one in (changes, restored):
        judged(one, SATURDAY, 60)
        assert one.is_day_type_proven(0.5)
        one.lift()
        assert [one.observe_teacher("teacher-2", MONDAY) is not None for _ in range(2)] == [False, True]
    assert restored.state() == changes.state()
