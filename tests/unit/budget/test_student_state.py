import json
from typing import Any

import pytest
from tests.support.budget_harness import (
    TASK,
    at_hour,
    audit_verdict,
    change_event,
    drift_event,
    gate_decision,
    promotion_stage,
    shadow_verdict,
    student_name,
    trained_promotion,
)

from understudies.budget.student_state import MoreAudits, StudentState
from understudies.events import Drift


def test_its_version_is_in_its_name() -> None:
    book = StudentState(promotion_stage("authorised", 12))
    assert (book.name, book.version) == (f"{TASK}@12", 12)


def test_a_story_moves_it_from_trial_to_force_to_neither() -> None:
    book = StudentState(promotion_stage("authorised"))
    places = []
    for stage in ("authorised", "collected", "trained", "qualified", "promoted", "demoted"):
        book.apply_promotion(promotion_stage(stage))
        places.append((book.is_on_trial, book.is_serving))
    assert places == [(True, False)] * 4 + [(False, True), (False, False)]


def test_it_remembers_what_it_was_promised() -> None:
    book = StudentState(promotion_stage("authorised"))
    book.apply_promotion(promotion_stage("authorised", evidence={"examples": 400, "roi": 3.2}))
    book.apply_promotion(trained_promotion(coverage=0.65))
    assert (book.examples, book.expected_share, book.investment["roi"]) == (400, 0.65, 3.2)


def test_each_step_of_the_ramp_has_its_own_audits() -> None:
    book = StudentState(promotion_stage("qualified"))
    book.apply_promotion(promotion_stage("promoted", hour=1, share=0.05, threshold=0.8))
    for agreed in (True, True, False):
        book.record_verdict(audit_verdict(agreed))
    book.apply_promotion(promotion_stage("promoted", hour=2, share=0.05, threshold=0.7))
    assert (book.step_audited, book.step_agreed, book.step_since) == (3, 2, at_hour(1))
    book.apply_promotion(promotion_stage("promoted", hour=3, share=0.25, threshold=0.7))
    assert (book.step_audited, book.step_agreed, book.step_since) == (0, 0, at_hour(3))
    assert (book.audited, book.agreed) == (3, 2)


def test_a_book_that_begins_with_a_promotion_can_go_on_from_it() -> None:
    promotion = promotion_stage("promoted", hour=5, share=0.25, threshold=0.8, evidence={"coverage": 0.6})
    book = StudentState(promotion)
    book.apply_promotion(promotion)
    assert (book.step_since, book.proven_share) == (at_hour(5), 0.6)


def test_shadow_verdicts_that_are_evidence_are_counted() -> None:
    book = StudentState(promotion_stage("trained"))
    for verdict in (shadow_verdict(), shadow_verdict(counts=False), shadow_verdict(phase="validation")):
        book.record_verdict(verdict)
    assert (book.judged, book.audited) == (1, 0)


def test_its_agreement_is_that_of_its_audits_and_before_them_of_its_gates() -> None:
    book = StudentState(promotion_stage("trained"))
    assert book.agreement is None
    book.decision = gate_decision("reject")
    assert book.agreement == 0.9
    for agreed in (True, True, True, False):
        book.record_verdict(audit_verdict(agreed))
    assert book.agreement == 0.75


def test_names_of_versions_are_those_of_the_task() -> None:
    assert StudentState(promotion_stage("trained", 3)).name == student_name(3)


# Held, as something changed


def serving(share: float = 0.25, hour: float = 0) -> StudentState:
    book = StudentState(promotion_stage("qualified"))
    book.apply_promotion(promotion_stage("promoted", hour=hour, share=share, threshold=0.8))
    return book


def test_a_hold_does_not_begin_the_step_anew() -> None:
    book = serving(0.25, hour=1)
    for agreed in (True, True, False):
        book.record_verdict(audit_verdict(agreed))
    book.restrict_share(change_event(hour=2))
    book.apply_promotion(promotion_stage("promoted", hour=2, share=0.05, threshold=0.8))
    book.record_verdict(audit_verdict(True))
    book.apply_promotion(promotion_stage("promoted", hour=30, share=0.25, threshold=0.8))
    book.lift_restriction()
    assert (book.step_since, book.step_audited, book.step_agreed) == (at_hour(1), 4, 3)
    book.apply_promotion(promotion_stage("promoted", hour=31, share=1.0, threshold=0.8))
    assert (book.step_since, book.step_audited) == (at_hour(31), 0)


def test_the_share_that_it_comes_back_to_is_the_one_of_before_all_changes() -> None:
    book = serving(1.0)
    book.restrict_share(change_event(hour=2))
    book.apply_promotion(promotion_stage("promoted", hour=2, share=0.05, threshold=0.8))
    book.restrict_share(change_event(hour=3, cause="teacher"))
    assert (book.share_before, book.restriction and book.restriction.cause) == (1.0, "teacher")


@pytest.mark.parametrize("stage", ["rejected", "demoted", "retired"])
def test_a_student_that_is_over_is_not_held(stage: str) -> None:
    book = StudentState(promotion_stage(stage))
    book.restrict_share(change_event())
    assert book.restriction is None


def test_a_student_on_trial_is_held_without_a_share_to_come_back_to() -> None:
    book = StudentState(promotion_stage("trained"))
    book.restrict_share(change_event())
    assert (book.restriction is not None, book.share_before) == (True, 0.0)


@pytest.mark.parametrize(
    ("outcome", "hour", "evidence", "again"),
    [
        ("promote", 5, {}, True),
        ("promote", 4, {}, True),
        ("promote", 3, {}, False),
        ("promote", 5, {"held": {"cause": "traffic"}}, False),
        ("inconclusive", 5, {}, False),
        ("reject", 5, {}, False),
    ],
)
def test_it_is_proven_again_by_a_decision_since_that_nothing_holds(
    outcome: str, hour: float, evidence: dict[str, Any], again: bool
) -> None:
    book = serving()
    told = gate_decision(outcome, hour=hour)
    book.decision = told.model_copy(update={"evidence": {**told.evidence, **evidence}})
    assert not book.is_reproven
    book.restrict_share(change_event(hour=4))
    assert book.is_reproven is again


def test_a_student_without_a_decision_is_not_proven_again() -> None:
    book = serving()
    book.restrict_share(change_event(hour=4))
    assert not book.is_reproven


@pytest.mark.parametrize("change", [None, change_event(hour=4), drift_event(hour=4)])
def test_a_hold_survives_a_restart(change: Drift | None) -> None:
    book = serving()
    if change is not None:
        book.restrict_share(change)
    assert StudentState.from_state(json.loads(json.dumps(book.state()))) == book


def test_a_book_of_before_there_were_holds_can_be_read() -> None:
    state = serving().state()
    for field in ("held", "share_before"):
        del state[field]
    book = StudentState.from_state(state)
    assert (book.restriction, book.share_before, book.promotion.share) == (None, 0.0, 0.25)


def test_it_knows_how_many_audits_came_since_its_gates_decided() -> None:
    book = StudentState(promotion_stage("promoted", share=1.0))
    for decided in (True, False):
        for agreed in (True, False, True):
            book.record_verdict(audit_verdict(agreed))
        if decided:
            book.apply_decision(gate_decision())
    assert book.decision is not None
    assert (book.audited, book.audited_before_decision) == (6, 3)
    restored = StudentState.from_state(json.loads(json.dumps(book.state())))
    assert restored.audited_before_decision == 3


@pytest.mark.parametrize(
    ("evidence", "more"),
    [
        ({}, None),
        ({"more_audits": "triage@2 is on trial"}, None),
        (
            {"more_audits": "triage@2 is on trial", "more_audits_until": at_hour(5).isoformat()},
            MoreAudits("triage@2 is on trial", at_hour(5)),
        ),
    ],
)
def test_it_knows_for_what_and_until_when_it_is_audited_more_than_usual(
    evidence: dict[str, Any], more: MoreAudits | None
) -> None:
    book = StudentState(promotion_stage("qualified"))
    book.apply_promotion(promotion_stage("promoted", share=1.0, threshold=0.8, audit_rate=0.5, evidence=evidence))
    assert book.more_audits == more
