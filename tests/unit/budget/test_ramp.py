from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.budget_harness import SETTINGS, at_hour, audit_verdict, gate_decision, promotion_stage

from understudies.budget.ramp import is_evidence_worthwhile, next_share, promising_share, verdicts_needed
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


def due(book: StudentState, hour: float = 24, settings: BudgetSettings = SETTINGS) -> float | None:
    return next_share(book, settings, 0.95, at_hour(hour))


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
        (0.25, 9, 0, None),
        (0.25, 10, 0, 0.5),
        (0.25, 9, 1, 0.5),
        (0.25, 8, 2, None),
        (0.5, 34, 0, None),
        (0.5, 35, 0, 1.0),
        (0.5, 32, 3, 1.0),
        (0.5, 31, 4, None),
        (0.6, 34, 0, None),
    ],
)
def test_a_step_takes_ten_audits_and_then_35_that_speak_for_it(
    share: float, agreed: int, disagreed: int, later: float | None
) -> None:
    assert due(student(share, agreed, disagreed), settings=BudgetSettings()) == later


def test_a_step_takes_an_hour_unless_set_otherwise() -> None:
    assert due(student(0.25), 0.9, settings=BudgetSettings()) is None
    assert due(student(0.25), 1, settings=BudgetSettings()) == 0.5


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


def test_the_last_step_does_not_wait_for_a_looser_threshold_in_sight() -> None:
    book = student(0.25, promising=0.9)
    assert promising_share(book) == 0.9
    assert due(book) == 1.0


def test_a_student_that_was_never_promoted_has_no_share_to_come() -> None:
    assert due(StudentState(promotion_stage("trained"))) is None
    assert promising_share(StudentState(promotion_stage("trained"))) == 0


# More audits


def judged(
    forward: int = 2000, *, promising: float = 0.9, coverage: float = 0.6, audits_since: int = 0
) -> StudentState:
    """A student at full share that was judged on so many calls, with so many audits since."""
    book = student(1.0, agreed=0, promising=promising, coverage=coverage)
    assert book.decision is not None
    evidence = {**book.decision.evidence, "forward": {"calls": forward}}
    book.apply_decision(book.decision.model_copy(update={"evidence": evidence}))
    for _ in range(audits_since):
        book.record_verdict(audit_verdict())
    return book


def worthwhile(book: StudentState, calls_per_day: float = 1000, **changes: Any) -> bool:
    return is_evidence_worthwhile(
        book, SETTINGS.model_copy(update={"trial_calls_per_day": 500, **changes}), calls_per_day
    )


def test_more_audits_pay_where_much_is_promising_on_little_evidence() -> None:
    assert worthwhile(judged())
    assert not worthwhile(judged(promising=0.61)), "little to gain"
    assert not worthwhile(judged(forward=100_000)), "a day adds little to what is known"
    assert not worthwhile(judged(), calls_per_day=50), "of few calls a day"


@pytest.mark.parametrize(
    ("forward", "promising", "calls_per_day"),
    [(2000, 0.0, 1000), (2000, 0.6, 1000), (2000, 0.5, 1000), (0, 0.9, 1000), (2000, 0.9, 0)],
)
def test_without_a_gap_or_calls_or_evidence_more_audits_pay_for_nothing(
    forward: int, promising: float, calls_per_day: float
) -> None:
    assert not worthwhile(judged(forward, promising=promising), calls_per_day)


def test_a_student_without_a_decision_has_no_gap_to_close() -> None:
    assert not worthwhile(StudentState(promotion_stage("promoted", share=1.0, evidence={"coverage": 0.6})))


def test_a_day_of_audits_is_worth_it_up_to_where_what_it_closes_is_what_it_costs() -> None:
    # Of a gap of .3, d more after n calls close .3 (1 - sqrt(n / (n + d))) for 28 days; they cost half of .6 for a day.
    # With d = 500 that is 1/28 of the gap, so n / (n + 500) = (1 - 1/28) ** 2.
    kept = (1 - 1 / 28) ** 2
    limit = 500 * kept / (1 - kept)
    assert worthwhile(judged(int(limit)))
    assert not worthwhile(judged(int(limit) + 1))


def test_audits_since_the_decision_are_evidence_on_all_the_calls_that_they_stand_for() -> None:
    kept = (1 - 1 / 28) ** 2
    limit = 500 * kept / (1 - kept)
    short = int(limit) - 600
    assert worthwhile(judged(short, audits_since=359))
    assert not worthwhile(judged(short, audits_since=362)), "600 calls are 360 served ones"
    decided_again = judged(short, audits_since=400)
    assert decided_again.decision is not None
    decided_again.apply_decision(decided_again.decision)
    assert worthwhile(decided_again), "those before a decision are in it"


@given(
    st.integers(1, 20_000),
    st.floats(0.61, 1.0),
    st.floats(1, 1e5),
    st.sampled_from(["forward", "promising", "calls_per_day", "successor_weeks"]),
)
def test_more_to_gain_or_sooner_never_pays_less(
    forward: int, promising: float, calls_per_day: float, better: str
) -> None:
    before = worthwhile(judged(forward, promising=promising), calls_per_day)
    after = worthwhile(
        judged(forward // 2 or 1 if better == "forward" else forward,
               promising=min(1.0, promising + 0.1) if better == "promising" else promising),
        calls_per_day * 2 if better == "calls_per_day" else calls_per_day,
        successor_weeks=8 if better == "successor_weeks" else 4,
    )  # fmt: skip
    assert after >= before
