"""The moves of a task's students, hour by hour."""

import json
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
    held_decision,
    promotion_stage,
    shadow_verdict,
    student_name,
    teacher_call,
    teacher_calls,
    trained_promotion,
)

from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import MoreAudits, StudentState
from understudies.events import GateDecision, Promotion, Withheld
from understudies.router.routing.table import RoutingTable


@pytest.fixture
def office() -> BudgetHarness:
    return BudgetHarness()


def student(office: BudgetHarness, version: int = 1) -> StudentState:
    return office.app.task_state(TASK).students[student_name(version)]


# The first student


async def test_a_student_is_authorised_with_the_investment(office: BudgetHarness) -> None:
    move = await office.authorise_first()
    assert (move.student, move.stage, move.at) == (student_name(), "authorised", at_hour(1))
    assert move.reason.startswith("$0.54 pays back within a week")
    assert (move.evidence["examples"], move.evidence["needed"]) == (100, 60)
    assert move.evidence["profile"] == {
        "kind": "closed_set",
        "reason": "100% of 100 calls got one of 3 repeated answers.",
    }
    assert "since" not in move.evidence
    assert await office.tick(2) == []


async def test_a_call_from_a_clock_far_ahead_ends_no_forecast(office: BudgetHarness) -> None:
    await office.handle(teacher_call(0, 24 * 365 * 10), *teacher_calls(99, first=1))
    await office.tick(0.1)
    await office.handle(*teacher_calls(99, first=100))
    assert await office.tick_stages(1) == [(student_name(), "authorised")]


async def test_nothing_is_authorised_before_there_is_enough(office: BudgetHarness) -> None:
    await office.handle(*teacher_calls(59))
    assert await office.tick(1) == []


@pytest.mark.parametrize("outcome", ["reject", "inconclusive"])
async def test_a_student_that_the_gates_do_not_pass_is_rejected_for_their_reason(
    office: BudgetHarness, outcome: str
) -> None:
    await office.start_trial()
    await office.handle(gate_decision(outcome, reason="agreement on the surest 10% is 80.0%"))
    [move] = await office.tick(26)
    assert (move.stage, move.reason) == ("rejected", "agreement on the surest 10% is 80.0%")
    assert move.evidence["curve"]
    assert await office.tick(27) == []


async def test_a_rejected_student_is_not_tried_again_before_twice_its_examples(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(gate_decision("reject"))
    assert await office.tick_stages(26) == [(student_name(), "rejected")]
    await office.handle(*teacher_calls(99, 26, first=100))
    assert await office.tick_stages(27) == []
    await office.handle(*teacher_calls(1, 27, first=199))
    assert await office.tick_stages(28) == [(student_name(2), "authorised")]


async def test_a_student_that_the_trainer_rejected_counts_as_tried(office: BudgetHarness) -> None:
    await office.authorise_first()
    await office.handle(promotion_stage("rejected", hour=2))
    await office.handle(*teacher_calls(99, 2, first=100))
    assert await office.tick_stages(3) == []
    await office.handle(*teacher_calls(1, 3, first=199))
    assert await office.tick_stages(4) == [(student_name(2), "authorised")]


async def test_a_trial_is_given_up_when_a_better_student_can_be_trained(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(*teacher_calls(99, 2, first=100))
    assert await office.tick_stages(3) == []
    await office.handle(*teacher_calls(1, 3, first=199), *(shadow_verdict(hour=3) for _ in range(99)))
    assert await office.tick_stages(4) == [], "its proof may only lack a verdict"
    await office.handle(shadow_verdict(hour=4))
    assert await office.tick_stages(5) == [(student_name(), "retired"), (student_name(2), "authorised")]
    assert student(office).promotion.reason == "superseded: 200 examples are available"


async def test_a_student_that_is_still_being_made_is_not_given_up(office: BudgetHarness) -> None:
    await office.authorise_first()
    await office.handle(*teacher_calls(500, 2, first=100))
    assert await office.tick_stages(3) == []


# Canary and ramp


async def test_a_qualified_student_begins_as_a_canary(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(gate_decision(hour=26))
    qualified, promoted = await office.tick(26)
    assert (qualified.stage, promoted.stage) == ("qualified", "promoted")
    assert (promoted.share, promoted.threshold) == (0.05, 0.8)
    assert (promoted.artifact, promoted.dataset) == ("artifact-1", "dataset")
    assert promoted.reason == "canary: because of the numbers"
    assert promoted.evidence["coverage"] == 0.6
    # So few calls are served that all of them are audited.
    assert promoted.audit_rate == 1.0


async def test_the_ramp_takes_verdicts_and_a_day_for_each_step(office: BudgetHarness) -> None:
    await office.promote_first(share=0.05)
    shares: list[tuple[float, float]] = []
    for hour in range(27, 120):
        if hour % 3 == 0:
            await office.handle(audit_verdict(hour=hour))
        shares += [(hour, move.share) for move in await office.tick(hour)]
    # Ten verdicts take 30 hours, so they decide.
    assert shares == [(54, 0.25), (84, 1.0)]


async def test_the_ramp_stops_at_disagreement(office: BudgetHarness) -> None:
    await office.promote_first(share=0.25)
    await office.handle(*(audit_verdict(number >= 4, hour=60) for number in range(10)))
    assert await office.tick(100) == []


async def test_the_last_step_does_not_wait_for_a_looser_threshold_in_sight(office: BudgetHarness) -> None:
    await office.promote_first(share=0.25)
    await office.handle(*(audit_verdict(hour=60) for _ in range(20)))
    await office.handle(gate_decision(hour=70, threshold=0.6, coverage=0.7, promising=0.95))
    [looser] = await office.tick(70)
    assert (looser.share, looser.threshold, looser.evidence["coverage"]) == (0.25, 0.6, 0.7)
    assert await office.tick(73) == []
    [last] = await office.tick(74)
    assert (last.share, last.threshold) == (1.0, 0.6)


async def test_a_looser_threshold_keeps_the_share_and_its_audits(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(*(audit_verdict(hour=80) for _ in range(3)))
    await office.handle(gate_decision(hour=98, threshold=0.5, coverage=0.9, reason="more is proven"))
    [move] = await office.tick(98)
    assert (move.stage, move.share, move.threshold, move.reason) == ("promoted", 1.0, 0.5, "more is proven")
    assert student(office).step_audited == 3
    assert student(office).proven_share == 0.9
    assert await office.tick(99) == []


# Beyond the promise

LEVELS = ((0.95, 0.8), (0.98, 0.93))
MORE = ((0.95, 0.8), (0.985, 0.93))


def beyond(levels: Any, *, hour: float = 0, **decided: Any) -> GateDecision:
    """The gates' word with what is proven beyond it."""
    return gate_decision(hour=hour, **decided).model_copy(update={"levels": levels})


async def test_every_step_of_the_ramp_tells_what_is_proven_beyond_the_promise(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(beyond(LEVELS, hour=26))
    seen = [move for move in await office.tick(26) if move.stage == "promoted"]
    for hour in (50, 74):
        await office.handle(*(audit_verdict(hour=hour - 1) for _ in range(10)))
        seen += await office.tick(hour)
    assert [(move.share, move.levels) for move in seen] == [(0.05, LEVELS), (0.25, LEVELS), (1.0, LEVELS)]


@pytest.mark.parametrize("levels", [MORE, ((0.95, 0.8),)], ids=["more", "less"])
async def test_what_is_proven_later_is_told_and_changes_nothing_else(office: BudgetHarness, levels: Any) -> None:
    await office.start_trial()
    await office.handle(beyond(LEVELS, hour=26))
    *_, before = await office.tick(26)
    await office.handle(
        *(audit_verdict(hour=30) for _ in range(3)), beyond(levels, hour=31, reason="agrees at least 98.5%")
    )
    [move] = await office.tick(31)
    assert (move.stage, move.levels, move.reason) == ("promoted", levels, "agrees at least 98.5%")
    same = {"id": before.id, "at": before.at, "levels": before.levels, "reason": before.reason}
    assert move.model_copy(update=same) == before
    assert (student(office).step_audited, student(office).step_since) == (3, at_hour(26))
    assert await office.tick(32) == []


async def test_a_looser_threshold_brings_its_own_levels(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(beyond(((0.95, 0.5), (0.98, 0.9)), hour=98, threshold=0.5, coverage=0.9))
    [move] = await office.tick(98)
    assert (move.threshold, move.levels) == (0.5, ((0.95, 0.5), (0.98, 0.9)))


async def test_a_ramp_that_goes_on_from_the_promotion_alone_keeps_its_levels(office: BudgetHarness) -> None:
    known: dict[str, Any] = {"threshold": 0.8, "evidence": {"coverage": 0.6}, "levels": LEVELS}
    await office.handle(promotion_stage("promoted", 3, 0, share=0.05, artifact="artifact-3", **known))
    await office.handle(*(audit_verdict(version=3, hour=1) for _ in range(10)))
    [next_step] = await office.tick(24)
    assert (next_step.share, next_step.levels) == (0.25, LEVELS)


async def test_levels_survive_a_restart(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(beyond(LEVELS, hour=26))
    await office.tick(26)
    await office.restart(json.loads(json.dumps(office.app.state())))
    assert student(office).promotion.levels == LEVELS
    assert await office.tick(27) == []


# Drift


async def test_drift_demotes_with_the_numbers(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(drift_event(hour=90))
    [move] = await office.tick(90)
    assert (move.stage, move.share) == ("demoted", 0.0)
    assert move.reason == "drift: agreement fell to 70.0% after 40 audited verdicts"
    assert move.evidence["statistic"] == 2000.0
    assert await office.tick(91) == []


async def test_a_warning_demotes_nobody(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(drift_event(hour=90, tier="warn"))
    assert await office.tick(90) == []


async def test_after_a_drift_only_newer_answers_teach(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(drift_event(hour=90))
    await office.tick(90)
    await office.handle(*teacher_calls(59, 90.5, first=1000))
    assert await office.tick(91) == []
    # Inputs of before count too, once they are answered anew.
    await office.handle(*teacher_calls(100, 91))
    [move] = await office.tick(92)
    assert (move.student, move.stage) == (student_name(2), "authorised")
    assert (move.evidence["since"], move.evidence["examples"]) == (at_hour(90).isoformat(), 159)


async def test_a_drift_ends_the_trial_of_who_learned_from_before_it(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.handle(drift_event(hour=hour))
    assert await office.tick_stages(hour) == [(student_name(), "demoted"), (student_name(2), "retired")]
    assert student(office, 2).promotion.reason == f"learned from answers before the drift of {student_name()}"
    await office.handle(gate_decision(version=2, hour=hour + 24, coverage=0.9))
    assert await office.tick_stages(hour + 24) == []


# A change


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("traffic", "canary again: it is confident on a different share of calls than was proven"),
        ("teacher", "canary again: another model answers as the teacher"),
        ("calendar", "canary again: it has not been judged on this kind of day yet"),
    ],
)
async def test_a_change_takes_a_student_back_to_the_canary(office: BudgetHarness, cause: str, reason: str) -> None:
    await office.promote_first()
    await office.handle(change_event(hour=90, cause=cause))
    [move] = await office.tick(90)
    assert (move.stage, move.share, move.reason) == ("promoted", 0.05, reason)
    assert (move.threshold, move.evidence["coverage"]) == (0.8, 0.6)
    assert await office.tick(91) == []


async def test_a_share_is_given_back_once_the_gates_decided_again(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(change_event(hour=90))
    await office.tick(90)
    await office.handle(held_decision(hour=95))
    assert await office.tick(95) == []
    await office.handle(gate_decision(hour=140, reason="at least 95.2% proven"))
    [move] = await office.tick(140)
    assert (move.stage, move.share, move.reason) == ("promoted", 1.0, "proven again: at least 95.2% proven")
    assert student(office).restriction is None
    assert await office.tick(141) == []


async def test_a_decision_of_before_the_change_gives_nothing_back(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(gate_decision(hour=89))
    await office.tick(89)
    await office.handle(change_event(hour=90))
    assert [move.share for move in await office.tick(90)] == [0.05]
    assert await office.tick(300) == []


async def test_a_successor_that_waits_does_not_follow_on_what_was_proven_before_a_change(
    office: BudgetHarness,
) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.handle(gate_decision(version=2, hour=hour + 20, coverage=0.55))
    assert await office.tick_stages(hour + 20) == [(student_name(2), "qualified")]
    await office.handle(change_event(2, hour=hour + 21, cause="teacher"), gate_decision("reject", hour=hour + 22))
    assert await office.tick_stages(hour + 22) == [(student_name(), "retired")]
    await office.handle(gate_decision(version=2, hour=hour + 50, coverage=0.55))
    assert await office.tick_stages(hour + 50) == [(student_name(2), "promoted")]


async def test_a_change_that_comes_before_its_promotion_is_read_restricts_it(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(change_event(hour=27))
    await office.handle(promotion_stage("promoted", hour=26, artifact="artifact-1", threshold=0.8, share=1.0))
    assert [move.share for move in await office.tick(28)] == [0.05]


async def test_a_held_student_does_not_climb_the_ramp(office: BudgetHarness) -> None:
    await office.promote_first(share=0.05)
    await office.handle(change_event(hour=30), *(audit_verdict(hour=40) for _ in range(20)))
    assert await office.tick(30) == await office.tick(60) == []
    await office.handle(gate_decision(hour=61))
    # Nothing is given back, as it had no more: the step goes on where it was.
    [step] = await office.tick(61)
    assert (step.share, step.reason) == (0.25, "ramp to 25%: 20 of 20 audited verdicts agreed at the step before")


async def test_a_hold_does_not_restart_the_step_of_the_ramp(office: BudgetHarness) -> None:
    await office.promote_first(share=0.25)
    await office.handle(*(audit_verdict(hour=51) for _ in range(6)), change_event(hour=52))
    assert [move.share for move in await office.tick(52)] == [0.05]
    await office.handle(*(audit_verdict(hour=60) for _ in range(4)), gate_decision(hour=75))
    assert [(move.share, move.reason) for move in await office.tick(75)] == [
        (0.25, "proven again: because of the numbers"),
        (1.0, "ramp to 100%: 10 of 10 audited verdicts agreed at the step before"),
    ]


async def test_a_threshold_found_while_held_is_told_at_the_canary_share(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(change_event(hour=90))
    await office.tick(90)
    await office.handle(held_decision(hour=95, threshold=0.9, coverage=0.4))
    [tighter] = await office.tick(95)
    assert (tighter.share, tighter.threshold) == (0.05, 0.9)
    await office.handle(gate_decision(hour=140, threshold=0.9, coverage=0.4))
    [back] = await office.tick(140)
    assert (back.share, back.threshold) == (1.0, 0.9)


async def test_a_hold_survives_a_restart(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(change_event(hour=90))
    await office.tick(90)
    await office.restart(json.loads(json.dumps(office.app.state())))
    assert await office.tick(91) == []
    await office.handle(gate_decision(hour=140))
    assert [move.share for move in await office.tick(140)] == [1.0]


async def test_drift_of_a_held_student_demotes_it(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(change_event(hour=90))
    await office.tick(90)
    await office.handle(drift_event(hour=92))
    assert await office.tick_stages(92) == [(student_name(), "demoted")]
    await office.handle(gate_decision(hour=140))
    assert await office.tick_stages(140) == []


# The head, and what is withheld

WITHHELD = Withheld(answers={"label:refund": 0.9}, inputs=("text:1",), groups=("tenant=acme",))


def forward(head_threshold: float | None = None, withheld: Withheld = WITHHELD, *, hour: float) -> GateDecision:
    return gate_decision(hour=hour).model_copy(update={"head_threshold": head_threshold, "withheld": withheld})


async def test_every_step_of_the_ramp_tells_of_the_head_and_of_what_is_withheld(office: BudgetHarness) -> None:
    await office.start_trial()
    await office.handle(forward(0.6, hour=26))
    seen = [move for move in await office.tick(26) if move.stage == "promoted"]
    await office.handle(*(audit_verdict(hour=49) for _ in range(10)))
    seen += await office.tick(50)
    told = [(move.share, move.head_threshold, move.withheld) for move in seen]
    assert told == [(0.05, 0.6, WITHHELD), (0.25, 0.6, WITHHELD)]


async def test_a_head_that_is_proven_later_is_told_at_once_and_keeps_the_share(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(forward(0.6, Withheld(), hour=90))
    [move] = await office.tick(90)
    assert (move.share, move.head_threshold, move.threshold) == (1.0, 0.6, 0.8)
    assert await office.tick(91) == []


async def test_what_is_withheld_later_is_told_and_changes_nothing_else(office: BudgetHarness) -> None:
    await office.promote_first()
    before = student(office).promotion
    await office.handle(*(audit_verdict(hour=89) for _ in range(3)), forward(hour=90))
    [move] = await office.tick(90)
    assert move.withheld == WITHHELD
    same = {"id": before.id, "at": before.at, "withheld": before.withheld, "reason": before.reason}
    assert move.model_copy(update={**same, "evidence": before.evidence}) == before
    assert student(office).step_audited == 3
    assert await office.tick(91) == []


async def test_what_is_given_back_serves_again(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(forward(hour=90))
    await office.tick(90)
    await office.handle(forward(withheld=Withheld(), hour=120))
    [move] = await office.tick(120)
    assert move.withheld == Withheld()


async def test_answers_of_a_closed_set_are_spot_checked(office: BudgetHarness) -> None:
    await office.promote_first()
    assert student(office).promotion.spot_checks


async def test_free_text_is_not_spot_checked(office: BudgetHarness) -> None:
    await office.handle(*(teacher_call(number, number / 100, answer=f"Dear {number}") for number in range(100)))
    await office.handle(promotion_stage("promoted", share=0.05, threshold=0.8, evidence={"coverage": 0.6}))
    await office.handle(gate_decision(hour=2, threshold=0.7))
    move, *_ = await office.tick(2)
    assert (move.stage, move.threshold, move.spot_checks) == ("promoted", 0.7, False)


async def test_by_default_the_ramp_takes_ten_and_then_35_audits() -> None:
    office = BudgetHarness(settings=SETTINGS.model_copy(update={"step_verdicts": BudgetSettings().step_verdicts}))
    await office.promote_first(share=0.25)
    await office.handle(*(audit_verdict(hour=60) for _ in range(34)))
    assert await office.tick(100) == []
    await office.handle(audit_verdict(hour=100))
    assert [move.share for move in await office.tick(100)] == [1.0]


# Successors


async def test_all_of_few_calls_are_audited_while_a_successor_is_on_trial(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    assert student(office).promotion.audit_rate < 0.5
    [move] = await office.tick(hour)
    assert (move.student, move.stage, move.share, move.threshold) == (student_name(), "promoted", 1.0, 0.8)
    assert move.reason == f"more audits: {student_name(2)} is on trial"
    assert move.audit_rate == 1.0
    assert move.evidence["more_audits"] == f"{student_name(2)} is on trial"
    assert move.evidence["usual_audit_rate"] == SETTINGS.min_audit_rate, "of the calls that there are by now"
    assert move.evidence["more_audits_until"] == at_hour(hour + 24).isoformat()
    assert student(office).more_audits == MoreAudits(f"{student_name(2)} is on trial", at_hour(hour + 24))
    assert await office.tick(hour + 1) == await office.tick(hour + 23.9) == []


async def test_audits_are_raised_for_whole_days_from_their_start(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    [day_more] = await office.tick(hour + 25)
    assert (day_more.reason, day_more.audit_rate) == (f"more audits: {student_name(2)} is on trial", 1.0)
    assert day_more.evidence["more_audits_until"] == at_hour(hour + 48).isoformat()
    await office.handle(gate_decision("reject", version=2, hour=hour + 30))
    assert await office.tick_stages(hour + 30) == [(student_name(2), "rejected")]
    assert await office.tick(hour + 47.9) == []
    [lowered] = await office.tick(hour + 48)
    assert (lowered.reason, lowered.audit_rate < 0.5) == ("usual audits: more would not pay", True)


@pytest.mark.parametrize("outcome", ["reject", "inconclusive"])
async def test_when_the_trial_ends_audits_are_as_usual_again(office: BudgetHarness, outcome: str) -> None:
    hour = await office.start_successor_trial()
    [raised] = await office.tick(hour)
    await office.handle(gate_decision(outcome, version=2, hour=hour + 24))
    rejected, lowered = await office.tick(hour + 24)
    assert (rejected.student, rejected.stage) == (student_name(2), "rejected")
    assert (lowered.student, lowered.stage, lowered.share) == (student_name(), "promoted", 1.0)
    assert lowered.reason == "usual audits: more would not pay"
    assert lowered.audit_rate < 0.5
    assert "more_audits" not in lowered.evidence
    assert "usual_audit_rate" not in lowered.evidence
    same = {"id": raised.id, "at": raised.at, "reason": raised.reason, "audit_rate": 1.0, "evidence": raised.evidence}
    assert lowered.model_copy(update=same) == raised, "nothing else changes"
    assert await office.tick(hour + 25) == []


async def test_more_audits_are_no_step_of_the_ramp(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.handle(*(audit_verdict(hour=hour) for _ in range(3)))
    since = student(office).step_since
    await office.tick(hour)
    assert (student(office).step_audited, student(office).step_since) == (3, since)


async def test_a_rate_that_is_as_high_as_a_trial_takes_stays_and_is_told_to_be_for_it() -> None:
    settings = SETTINGS.model_copy(update={"trial_calls_per_day": 1, "min_audit_rate": 0.1})
    office = BudgetHarness(settings=settings)
    hour = await office.start_successor_trial()
    [move] = await office.tick(hour)
    assert move.audit_rate == move.evidence["usual_audit_rate"] == 0.1
    assert move.evidence["more_audits"] == f"{student_name(2)} is on trial"


async def test_steps_of_the_ramp_and_looser_thresholds_keep_the_audits_of_a_trial(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.handle(gate_decision(hour=hour + 1, threshold=0.7, coverage=0.65))
    [looser] = await office.tick(hour + 1)
    assert (looser.threshold, looser.audit_rate) == (0.7, 1.0)
    assert looser.evidence["more_audits"] == f"{student_name(2)} is on trial"
    await office.handle(beyond(MORE, hour=hour + 2, threshold=0.7, coverage=0.65))
    [levels] = await office.tick(hour + 2)
    assert (levels.levels, levels.audit_rate) == (MORE, 1.0)
    assert levels.evidence["usual_audit_rate"] == looser.evidence["usual_audit_rate"]
    assert await office.tick(hour + 3) == []


async def test_the_audits_of_a_trial_survive_a_restart(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.restart(json.loads(json.dumps(office.app.state())))
    assert await office.tick(hour + 1) == []
    await office.handle(gate_decision("reject", version=2, hour=hour + 24))
    assert [move.audit_rate < 0.5 for move in await office.tick(hour + 24) if move.stage == "promoted"] == [True]


async def test_a_held_student_gets_no_more_audits(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.handle(change_event(hour=hour))
    [canary] = await office.tick(hour)
    assert (canary.share, canary.reason.split(":")[0]) == (0.05, "canary again")
    assert await office.tick(hour + 1) == []


async def test_a_student_that_succeeds_has_its_usual_audits(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.handle(gate_decision(version=2, hour=hour + 24, threshold=0.4, coverage=0.9))
    *_, promoted = await office.tick(hour + 24)
    assert (promoted.student, promoted.audit_rate < 0.5) == (student_name(2), True)
    assert "more_audits" not in promoted.evidence
    assert await office.tick(hour + 25) == []


# Looser thresholds


def forward_of(calls: int, *, hour: float, **decided: Any) -> GateDecision:
    """The gates' word after so many calls since the dataset."""
    found = gate_decision(hour=hour, **decided)
    return found.model_copy(update={"evidence": {**found.evidence, "forward": {"calls": calls}}})


async def test_looser_thresholds_that_promise_to_pay_get_more_audits_until_they_do_not(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(*teacher_calls(50, 80), forward_of(2, hour=81, promising=0.95))
    [raised] = await office.tick(81)
    assert raised.reason == "more audits: looser thresholds may be proven"
    assert (raised.audit_rate, raised.share, raised.threshold) == (1.0, 1.0, 0.8)
    assert raised.evidence["more_audits"] == "looser thresholds may be proven"
    assert await office.tick(82) == []
    await office.handle(*(audit_verdict(hour=83) for _ in range(5000)))
    assert await office.tick(104.9) == []
    [lowered] = await office.tick(105)
    assert (lowered.reason, lowered.audit_rate < 0.5) == ("usual audits: more would not pay", True)
    assert await office.tick(106) == []


async def test_a_looser_threshold_that_is_proven_ends_the_audits_for_it(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(*teacher_calls(50, 80), forward_of(2, hour=81, promising=0.95))
    await office.tick(81)
    await office.handle(forward_of(200, hour=100, threshold=0.5, coverage=0.95))
    [proven] = await office.tick(100)
    assert (proven.threshold, proven.audit_rate) == (0.5, 1.0), "until the day of audits ends"
    [lowered] = await office.tick(105)
    assert (lowered.threshold, lowered.audit_rate < 0.5) == (0.5, True)
    assert "more_audits" not in lowered.evidence


# Successors that serve


async def test_a_successor_that_serves_more_takes_over_at_once(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.handle(gate_decision(version=2, hour=hour + 24, threshold=0.4, coverage=0.9))
    qualified, retired, promoted = await office.tick(hour + 24)
    assert (qualified.student, qualified.stage) == (student_name(2), "qualified")
    assert (retired.student, retired.stage, retired.share) == (student_name(), "retired", 0.0)
    assert retired.reason == f"succeeded by {student_name(2)}: serves 90% where {student_name()} serves 60%"
    assert (promoted.student, promoted.stage) == (student_name(2), "promoted")
    assert (promoted.share, promoted.threshold) == (1.0, 0.4)
    assert office.app.task_state(TASK).serving is student(office, 2)


async def test_a_successor_that_serves_no_more_waits_until_it_has_cost_enough(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.handle(gate_decision(version=2, hour=hour + 20, coverage=0.55))
    assert await office.tick_stages(hour + 20) == [(student_name(2), "qualified")]
    assert await office.tick_stages(hour + 21) == []
    await office.handle(*(shadow_verdict(version=2, hour=hour + 22) for _ in range(200)))
    assert await office.tick_stages(hour + 23) == [(student_name(2), "rejected")]
    assert student(office, 2).promotion.reason == f"proved no more than {student_name()} in 200 verdicts"


async def test_of_students_that_serve_as_much_the_newer_is_in_force(office: BudgetHarness) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    await office.handle(gate_decision(version=2, hour=hour + 24, coverage=0.595))
    assert await office.tick_stages(hour + 24) == [
        (student_name(2), "qualified"),
        (student_name(), "retired"),
        (student_name(2), "promoted"),
    ]


async def test_a_successor_that_is_still_being_made_takes_no_more_audits(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(*teacher_calls(100, 100, first=100), *(teacher_call(0, 101) for _ in range(2000)))
    assert await office.tick_stages(102) == [(student_name(2), "authorised")]
    assert await office.tick_stages(103) == []


# What another process says, which no longer has the task


@pytest.mark.parametrize("skew", [0.0, 0.5])
async def test_who_is_out_of_service_stays_so_whatever_a_former_owner_says(office: BudgetHarness, skew: float) -> None:
    hour = await office.start_successor_trial()
    await office.tick(hour)
    before = student(office).promotion
    await office.handle(gate_decision(version=2, hour=hour + 24, threshold=0.4, coverage=0.9))
    told = await office.tick(hour + 24)
    # It stood still since it had decided this, or its clock is ahead.
    stale = before.model_copy(update={"id": "stale", "at": at_hour(hour + 24.1 + skew), "share": 1.0})
    await office.handle(*told, stale)
    assert office.app.task_state(TASK).serving is student(office, 2)
    [again] = await office.tick(hour + 24.2)
    assert (again.student, again.stage, again.share) == (student_name(), "retired", 0.0)
    assert again.reason.startswith(f"still so: succeeded by {student_name(2)}")
    assert await office.tick_stages(hour + 24.3) == []
    # A router that reads on, and one that starts later and finds what the topic's compaction has left.
    for events in ([before, *told, stale, again], [told[-1], again]):
        table = RoutingTable()
        for event in events:
            table = table.apply(event)
        route = table.route(TASK, at_hour(hour + 25))
        assert route is not None
        assert route.student == student_name(2)


@pytest.mark.parametrize("stage", ["authorised", "collected", "trained", "qualified"])
async def test_who_serves_is_not_made_again_by_a_former_owner(office: BudgetHarness, stage: Any) -> None:
    await office.promote_first()
    served = student(office).promotion
    await office.handle(promotion_stage(stage, hour=90, artifact="other"))
    assert student(office).promotion == served
    [again] = await office.tick(90.1)
    changed = {"id", "at", "reason"}
    assert again.model_dump(exclude=changed) == served.model_dump(exclude=changed)
    assert again.reason == f"still so: {served.reason}"
    assert await office.tick_stages(90.2) == []


async def test_what_is_decided_next_counts_also_where_the_former_owner_s_clock_is_ahead(office: BudgetHarness) -> None:
    await office.promote_first()
    before = student(office).promotion
    await office.handle(promotion_stage("trained", hour=95, artifact="other"))
    [again] = await office.tick(90)
    assert again.at > at_hour(95)
    await office.handle(drift_event(hour=90.5))
    [demoted, *_] = await office.tick(91)
    assert demoted.stage == "demoted"
    table = RoutingTable()
    for event in (before, again, demoted):
        table = table.apply(event)
    assert table.route(TASK, at_hour(96)) is None


@pytest.mark.parametrize("stages", [("qualified", "promoted"), ("authorised",), ("qualified",)])
async def test_who_is_out_of_service_is_not_tried_again_by_a_former_owner(
    office: BudgetHarness, stages: tuple[Any, ...]
) -> None:
    await office.promote_first()
    before = student(office).promotion
    await office.handle(drift_event(hour=90))
    await office.tick(90)
    stale = [before.model_copy(update={"id": stage, "stage": stage, "at": at_hour(91)}) for stage in stages]
    await office.handle(*stale)
    assert student(office).promotion.stage == "demoted"
    assert await office.tick_stages(92) == [(student_name(), "demoted")]
    assert await office.tick_stages(93) == []


async def test_a_trial_goes_on_where_a_former_owner_authorises_it_too(office: BudgetHarness) -> None:
    await office.start_trial()
    made = student(office).promotion
    await office.handle(promotion_stage("authorised", hour=90))
    assert student(office).promotion == made


async def test_a_training_is_paid_once_also_if_its_rejection_is_said_again(office: BudgetHarness) -> None:
    await office.promote_first()
    before = student(office).promotion
    await office.handle(promotion_stage("rejected", hour=90, evidence={"cost_usd": "2.5", "tried": []}))
    paid = office.app.task_state(TASK).ledger.training
    await office.handle(before.model_copy(update={"id": "stale", "at": at_hour(91)}))
    [again, *_] = await office.tick(92)
    assert (again.stage, again.evidence) == ("rejected", {"tried": []})
    assert office.app.task_state(TASK).ledger.training == paid


async def test_a_demotion_that_is_said_again_forgets_no_example(office: BudgetHarness) -> None:
    await office.promote_first()
    before = student(office).promotion
    await office.handle(drift_event(hour=90))
    await office.tick(90)
    await office.handle(*teacher_calls(40, 90.5, first=1000))
    await office.handle(before.model_copy(update={"id": "stale", "at": at_hour(91)}))
    await office.restart(office.app.state())
    assert await office.tick_stages(92) == [(student_name(), "demoted")]
    assert office.app.task_state(TASK).examples == 40
    assert office.app.task_state(TASK).valid_since == at_hour(90)
    assert await office.tick_stages(93) == []


# What was lost


async def test_a_student_in_force_that_cannot_be_tried_any_more_leaves(office: BudgetHarness) -> None:
    await office.promote_first()
    await office.handle(gate_decision("reject", hour=90, reason="cannot read 'artifact-1'"))
    [move] = await office.tick(90)
    assert (move.stage, move.share, move.reason) == ("retired", 0.0, "cannot read 'artifact-1'")


async def test_a_ramp_goes_on_from_the_promotion_alone(office: BudgetHarness) -> None:
    known: dict[str, Any] = {"threshold": 0.8, "evidence": {"coverage": 0.6}}
    await office.handle(promotion_stage("promoted", 3, 0, share=0.25, artifact="artifact-3", **known))
    await office.handle(*(audit_verdict(version=3, hour=1) for _ in range(10)), trained_promotion(4, 2))
    [kept] = await office.tick(24)
    assert (kept.student, kept.share, kept.threshold, kept.artifact) == (student_name(3), 1.0, 0.8, "artifact-3")
    assert kept.evidence["coverage"] == 0.6


async def test_a_version_is_never_used_again(office: BudgetHarness) -> None:
    seen: list[Promotion] = []
    await office.handle(promotion_stage("retired", 7), *teacher_calls(100))
    for round_ in range(3):
        hour = 2 + 2 * round_
        [move] = await office.tick(hour)
        seen.append(move)
        inputs = 100 * 2 ** (round_ + 1)
        await office.handle(promotion_stage("rejected", 8 + round_, hour + 1), *teacher_calls(inputs, hour + 1))
    assert [move.student for move in seen] == [student_name(8), student_name(9), student_name(10)]
