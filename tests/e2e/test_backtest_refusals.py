"""What stays with the teacher, and that the report says why."""

import pytest
from tests.support.played import Played

from understudies.events import Invocation

KEPT = ("drawn", "skewed", "cheap", "rare", "by-flag", "by-option", "by-rule", "essays")
NEVER_TRAINED = ("cheap", "rare", "by-flag", "by-option", "by-rule", "essays")


@pytest.mark.parametrize("task", KEPT)
def test_nothing_is_promoted_and_the_teacher_answers_every_call(everything: Played, task: str) -> None:
    totals = everything.report.tasks[task].summary.totals
    assert (totals.served, totals.agreement_served, totals.agreement_lower_bound) == (0, None, None)
    assert everything.decisions(task, "qualified", "promoted", "gate_promote") == []
    calls = everything.calls(task)
    assert len(calls) == totals.calls
    assert {call.served_by for call in calls} == {"teacher"}


@pytest.mark.parametrize("task", NEVER_TRAINED)
def test_nothing_is_trained_and_nothing_is_spent(everything: Played, task: str) -> None:
    reported = everything.report.tasks[task]
    assert [decision.event for decision in everything.decisions(task)] == ["not_worth_it"]
    assert reported.summary.totals.cost_after == reported.summary.totals.cost_before
    assert reported.outcome.outcome == "not_worth_it"
    assert reported.roi_authorised is None
    assert reported.roi_realised is None


def test_a_teacher_who_draws_is_found_out_with_the_numbers(everything: Played) -> None:
    rejected = everything.decisions("drawn", "rejected")
    assert rejected
    for decision in rejected:
        assert "95%" in decision.reason
        assert "agree" in decision.reason
        assert sum(character.isdigit() for character in decision.reason) >= 4
    outcome = everything.report.tasks["drawn"].outcome
    assert outcome.outcome == "fallback_teacher"
    assert rejected[-1].reason in outcome.message


def test_always_saying_the_commonest_answer_does_not_pass(everything: Played) -> None:
    reported = everything.report.tasks["skewed"]
    assert everything.decisions("skewed", "trained")
    assert "not proven after" in reported.outcome.message
    assert "95% must be proven" in reported.outcome.message
    assert any(point.n > 100 and point.agreement > 0.9 for point in reported.risk_coverage)


@pytest.mark.parametrize(
    ("task", "words", "number"),
    [
        ("cheap", "The student costs $0.0002 a call, no less than the teacher's $0.0001", "teacher_cost_usd"),
        ("rare", "does not pay back within a week", "break_even_calls"),
        ("essays", "free text of", "weekly_calls"),
    ],
)
def test_below_the_return_the_numbers_are_told(everything: Played, task: str, words: str, number: str) -> None:
    (decision,) = everything.decisions(task)
    outcome = everything.report.tasks[task].outcome
    assert words in outcome.message
    assert words in decision.reason
    assert outcome.numbers[number] is not None
    assert decision.evidence[number] is not None


@pytest.mark.parametrize("task", ["by-flag", "by-option", "by-rule"])
def test_a_critical_task_says_so_whoever_declared_it(everything: Played, task: str) -> None:
    reported = everything.report.tasks[task]
    assert "declared critical" in reported.outcome.message
    assert reported.profile["critical"] is True
    routes = [call.route.reason for call in everything.calls(task) if call.route]
    assert set(routes) == {"critical"}


def test_tasks_that_are_not_critical_are_not_said_to_be(everything: Played) -> None:
    for task in ("easy", "rare", "essays"):
        assert everything.report.tasks[task].profile["critical"] is False


def test_no_one_is_asked_again_about_what_stays_with_the_teacher(everything: Played) -> None:
    audited = {event.task for event in everything.events if isinstance(event, Invocation) and event.audits}
    assert audited == {"easy", "fuzzy", "turning"}
