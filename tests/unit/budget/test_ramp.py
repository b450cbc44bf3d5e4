from typing import Any

import pytest
from tests.support.budget_harness import SETTINGS, at_hour, audit_verdict, gate_decision, promotion_stage

from understudies.budget.ramp import next_share, promising_share, verdicts_needed
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import StudentState


def student(share: float = 0.05, agreed: int = 10, disagreed: int = 0, **decided: Any) -> StudentState:
    """A student that got its share in hour 0, and its audits since."""
    book = StudentState(promotion_stage("qualified"))
    book.decision = gate_decision(**decided)
    coverage = book.decision.coverage
    book.apply_promotion(promotion_stage("promoted", share=share, threshold=0.8, evidence={"coverage": coverage}))
    for verdict in [True] * agreed + [False] * disagreed:
        book.record_verdict(audit_verdict(verdict))
    return book


def due(book: StudentState, hour: float = 24, most: float = 1.0, settings: BudgetSettings = SETTINGS) -> float | None:
    return next_share(book, settings, 0.95, at_hour(hour), max_share=most, reduced_since=at_hour(0))


@pytest.mark.parametrize(("share", "later"), [(0.05, 0.25), (0.25, 1.0), (0.5, 1.0), (1.0, None)])
def test_each_step_leads_to_the_next(share: float, later: float | None) -> None:
    assert due(student(share)) == later


def test_a_step_takes_a_day() -> None:
    assert due(student(), 23.9) is None
    assert due(student(), 24) == 0.25


def test_a_step_takes_its_audits() -> None:
    assert due(student(agreed=9), 1000) is None
    assert due(student(agreed=10)) == 0.25


@pytest.mark.parametrize(
    ("share", "agreed", "disagreed", "later"),
    [
        (0.05, 9, 0, None),
        (0.05, 10, 0, 0.25),
        (0.05, 9, 1, 0.25),
        (0.05, 8, 2, None),
        (0.25, 34, 0, None),
        (0.25, 35, 0, 1.0),
        (0.25, 32, 3, 1.0),
        (0.25, 31, 4, None),
        (0.5, 34, 0, None),
    ],
)
def test_a_step_takes_ten_audits_and_then_35_that_speak_for_it(
    share: float, agreed: int, disagreed: int, later: float | None
) -> None:
    assert due(student(share, agreed, disagreed), settings=BudgetSettings()) == later


def test_a_step_takes_half_a_day_unless_set_otherwise() -> None:
    assert due(student(), 11.9, settings=BudgetSettings()) is None
    assert due(student(), 12, settings=BudgetSettings()) == 0.25


@pytest.mark.parametrize(("agreed", "disagreed"), [(7, 3), (15, 4)])
def test_what_would_not_disprove_a_student_yet_can_hold_its_ramp(agreed: int, disagreed: int) -> None:
    doubted = student(agreed=agreed, disagreed=disagreed)
    assert due(doubted) is None
    assert due(doubted, settings=SETTINGS.model_copy(update={"step_evidence": 20.0})) == 0.25


def test_a_step_that_is_held_goes_on_once_its_audits_speak_for_it() -> None:
    book = student(0.05, 8, 2)
    assert due(book) is None
    for _ in range(10):
        book.record_verdict(audit_verdict(True))
    assert due(book) == 0.25


@pytest.mark.parametrize(("share", "audits"), [(0.01, 10), (0.05, 10), (0.1, 20), (0.3, 30), (0.5, 40), (0.9, 40)])
def test_the_last_number_of_audits_is_for_all_later_steps(share: float, audits: int) -> None:
    settings = BudgetSettings(canary=(0.05, 0.2, 0.3, 0.5, 1.0), step_verdicts=(10, 20, 30, 40))
    assert verdicts_needed(share, settings) == audits


def test_part_of_the_calls_can_be_kept() -> None:
    assert due(student(0.25), most=0.5) == 0.5
    assert due(student(0.5), most=0.5) is None
    assert due(student(0.05), most=0.1) == 0.1


def test_the_last_step_waits_while_a_looser_threshold_is_in_sight() -> None:
    book = student(0.25, promising=0.9)
    assert promising_share(book) == 0.9
    assert due(book, 71) is None
    assert due(book, 72) == 1.0


def test_it_does_not_wait_for_little() -> None:
    assert due(student(0.25, promising=0.65)) == 1.0
    assert due(student(0.05, promising=0.9)) == 0.25


def test_a_student_that_was_never_promoted_has_no_share_to_come() -> None:
    assert due(StudentState(promotion_stage("trained"))) is None
    assert promising_share(StudentState(promotion_stage("trained"))) == 0
