"""The moves of a task's students, hour by hour."""

import json
from typing import Any

import pytest
from tests.support.books import (
    SETTINGS,
    TASK,
    Office,
    audit,
    call,
    calls,
    changed,
    decision,
    drift,
    held,
    hours,
    name,
    shadow,
    story,
    trained,
)

from understudies.budget.settings import BudgetSettings
from understudies.events import GateDecision, Promotion, Withheld


@pytest.fixture
def office() -> Office:
    return Office()


def student(office: Office, version: int = 1) -> Any:
    return office.app.book(TASK).students[name(version)]


# The first student


async def test_a_student_is_authorised_with_the_investment(office: Office) -> None:
    move = await office.authorised()
    assert (move.student, move.stage, move.at) == (name(), "authorised", hours(1))
    assert move.reason.startswith("$0.54 pays back within a week")
    assert (move.evidence["examples"], move.evidence["needed"]) == (100, 60)
    assert move.evidence["profile"] == {
        "kind": "closed_set",
        "reason": "100% of 100 calls got one of 3 repeated answers.",
    }
    assert "since" not in move.evidence
    assert await office.tick(2) == []


async def test_nothing_is_authorised_before_there_is_enough(office: Office) -> None:
    await office.hear(*calls(59))
    assert await office.tick(1) == []


@pytest.mark.parametrize("outcome", ["reject", "inconclusive"])
async def test_a_student_that_the_gates_do_not_pass_is_rejected_for_their_reason(office: Office, outcome: str) -> None:
    await office.on_trial()
    await office.hear(decision(outcome, reason="agreement on the surest 10% is 80.0%"))
    [move] = await office.tick(26)
    assert (move.stage, move.reason) == ("rejected", "agreement on the surest 10% is 80.0%")
    assert move.evidence["curve"]
    assert await office.tick(27) == []


async def test_a_rejected_student_is_not_tried_again_before_twice_its_examples(office: Office) -> None:
    await office.on_trial()
    await office.hear(decision("reject"))
    assert await office.moves(26) == [(name(), "rejected")]
    await office.hear(*calls(99, 26, first=100))
    assert await office.moves(27) == []
    await office.hear(*calls(1, 27, first=199))
    assert await office.moves(28) == [(name(2), "authorised")]


async def test_a_student_that_the_trainer_rejected_counts_as_tried(office: Office) -> None:
    await office.authorised()
    await office.hear(story("rejected", hour=2))
    await office.hear(*calls(99, 2, first=100))
    assert await office.moves(3) == []
    await office.hear(*calls(1, 3, first=199))
    assert await office.moves(4) == [(name(2), "authorised")]


async def test_a_trial_is_given_up_when_a_better_student_can_be_trained(office: Office) -> None:
    await office.on_trial()
    await office.hear(*calls(99, 2, first=100))
    assert await office.moves(3) == []
    await office.hear(*calls(1, 3, first=199))
    assert await office.moves(4) == [(name(), "retired"), (name(2), "authorised")]
    assert student(office).story.reason == "superseded: 200 examples are there"


async def test_a_student_that_is_still_being_made_is_not_given_up(office: Office) -> None:
    await office.authorised()
    await office.hear(*calls(500, 2, first=100))
    assert await office.moves(3) == []


# Canary and ramp


async def test_a_qualified_student_begins_as_a_canary(office: Office) -> None:
    await office.on_trial()
    await office.hear(decision(hour=26))
    qualified, promoted = await office.tick(26)
    assert (qualified.stage, promoted.stage) == ("qualified", "promoted")
    assert (promoted.share, promoted.threshold) == (0.05, 0.8)
    assert (promoted.artifact, promoted.dataset) == ("artifact-1", "dataset")
    assert promoted.reason == "canary: because of the numbers"
    assert promoted.evidence["coverage"] == 0.6
    # So few calls are served that all of them are audited.
    assert promoted.audit_rate == 1.0


async def test_the_ramp_takes_verdicts_and_a_day_for_each_step(office: Office) -> None:
    await office.in_force(share=0.05)
    shares: list[tuple[float, float]] = []
    for hour in range(27, 120):
        if hour % 3 == 0:
            await office.hear(audit(hour=hour))
        shares += [(hour, move.share) for move in await office.tick(hour)]
    # Ten verdicts take 30 hours, so they decide.
    assert shares == [(54, 0.25), (84, 1.0)]


async def test_the_ramp_stops_at_disagreement(office: Office) -> None:
    await office.in_force(share=0.25)
    await office.hear(*(audit(number >= 4, hour=60) for number in range(10)))
    assert await office.tick(100) == []


async def test_the_last_step_waits_for_a_looser_threshold_in_sight(office: Office) -> None:
    await office.in_force(share=0.25)
    await office.hear(*(audit(hour=60) for _ in range(20)))
    await office.hear(decision(hour=70, threshold=0.6, coverage=0.7, promising=0.95))
    [looser] = await office.tick(70)
    assert (looser.share, looser.threshold, looser.evidence["coverage"]) == (0.25, 0.6, 0.7)
    assert await office.tick(74) == await office.tick(97) == []
    [last] = await office.tick(98)
    assert (last.share, last.threshold) == (1.0, 0.6)


async def test_a_looser_threshold_keeps_the_share_and_its_audits(office: Office) -> None:
    await office.in_force()
    await office.hear(*(audit(hour=80) for _ in range(3)))
    await office.hear(decision(hour=98, threshold=0.5, coverage=0.9, reason="more is proven"))
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
    return decision(hour=hour, **decided).model_copy(update={"levels": levels})


async def test_every_step_of_the_ramp_tells_what_is_proven_beyond_the_promise(office: Office) -> None:
    await office.on_trial()
    await office.hear(beyond(LEVELS, hour=26))
    seen = [move for move in await office.tick(26) if move.stage == "promoted"]
    for hour in (50, 74):
        await office.hear(*(audit(hour=hour - 1) for _ in range(10)))
        seen += await office.tick(hour)
    assert [(move.share, move.levels) for move in seen] == [(0.05, LEVELS), (0.25, LEVELS), (1.0, LEVELS)]


@pytest.mark.parametrize("levels", [MORE, ((0.95, 0.8),)], ids=["more", "less"])
async def test_what_is_proven_later_is_told_and_changes_nothing_else(office: Office, levels: Any) -> None:
    await office.on_trial()
    await office.hear(beyond(LEVELS, hour=26))
    *_, before = await office.tick(26)
    await office.hear(*(audit(hour=30) for _ in range(3)), beyond(levels, hour=31, reason="agrees at least 98.5%"))
    [move] = await office.tick(31)
    assert (move.stage, move.levels, move.reason) == ("promoted", levels, "agrees at least 98.5%")
    same = {"id": before.id, "at": before.at, "levels": before.levels, "reason": before.reason}
    assert move.model_copy(update=same) == before
    assert (student(office).step_audited, student(office).step_since) == (3, hours(26))
    assert await office.tick(32) == []


async def test_a_looser_threshold_brings_its_own_levels(office: Office) -> None:
    await office.in_force()
    await office.hear(beyond(((0.95, 0.5), (0.98, 0.9)), hour=98, threshold=0.5, coverage=0.9))
    [move] = await office.tick(98)
    assert (move.threshold, move.levels) == (0.5, ((0.95, 0.5), (0.98, 0.9)))


async def test_a_ramp_that_goes_on_from_the_promotion_alone_keeps_its_levels(office: Office) -> None:
    known: dict[str, Any] = {"threshold": 0.8, "evidence": {"coverage": 0.6}, "levels": LEVELS}
    await office.hear(story("promoted", 3, 0, share=0.05, artifact="artifact-3", **known))
    await office.hear(*(audit(version=3, hour=1) for _ in range(10)))
    [next_step] = await office.tick(24)
    assert (next_step.share, next_step.levels) == (0.25, LEVELS)


async def test_levels_survive_a_restart(office: Office) -> None:
    await office.on_trial()
    await office.hear(beyond(LEVELS, hour=26))
    await office.tick(26)
    await office.restart(json.loads(json.dumps(office.app.state())))
    assert student(office).story.levels == LEVELS
    assert await office.tick(27) == []


# Drift


async def test_drift_demotes_with_the_numbers(office: Office) -> None:
    await office.in_force()
    await office.hear(drift(hour=90))
    [move] = await office.tick(90)
    assert (move.stage, move.share) == ("demoted", 0.0)
    assert move.reason == "drift: agreement fell to 70.0% after 40 audited verdicts"
    assert move.evidence["statistic"] == 2000.0
    assert await office.tick(91) == []


async def test_a_warning_demotes_nobody(office: Office) -> None:
    await office.in_force()
    await office.hear(drift(hour=90, tier="warn"))
    assert await office.tick(90) == []


async def test_after_a_drift_only_newer_answers_teach(office: Office) -> None:
    await office.in_force()
    await office.hear(drift(hour=90))
    await office.tick(90)
    await office.hear(*calls(59, 90.5, first=1000))
    assert await office.tick(91) == []
    # Inputs of before count too, once they are answered anew.
    await office.hear(*calls(100, 91))
    [move] = await office.tick(92)
    assert (move.student, move.stage) == (name(2), "authorised")
    assert (move.evidence["since"], move.evidence["examples"]) == (hours(90).isoformat(), 159)


async def test_a_drift_ends_the_trial_of_who_learned_from_before_it(office: Office) -> None:
    hour = await office.succeeding()
    await office.hear(drift(hour=hour))
    assert await office.moves(hour) == [(name(), "demoted"), (name(2), "retired")]
    assert student(office, 2).story.reason == f"learned from answers before the drift of {name()}"
    await office.hear(decision(version=2, hour=hour + 24, coverage=0.9))
    assert await office.moves(hour + 24) == []


# A change


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("traffic", "canary again: it is sure of another share of the calls than it was proven on"),
        ("teacher", "canary again: another model answers as the teacher"),
        ("calendar", "canary again: it was not judged on such days yet"),
    ],
)
async def test_a_change_takes_a_student_back_to_the_canary(office: Office, cause: str, reason: str) -> None:
    await office.in_force()
    await office.hear(changed(hour=90, cause=cause))
    [move] = await office.tick(90)
    assert (move.stage, move.share, move.reason) == ("promoted", 0.05, reason)
    assert (move.threshold, move.evidence["coverage"]) == (0.8, 0.6)
    assert await office.tick(91) == []


async def test_a_share_is_given_back_once_the_gates_decided_again(office: Office) -> None:
    await office.in_force()
    await office.hear(changed(hour=90))
    await office.tick(90)
    await office.hear(held(hour=95))
    assert await office.tick(95) == []
    await office.hear(decision(hour=140, reason="at least 95.2% proven"))
    [move] = await office.tick(140)
    assert (move.stage, move.share, move.reason) == ("promoted", 1.0, "proven again: at least 95.2% proven")
    assert student(office).held is None
    assert await office.tick(141) == []


async def test_a_decision_of_before_the_change_gives_nothing_back(office: Office) -> None:
    await office.in_force()
    await office.hear(decision(hour=89))
    await office.tick(89)
    await office.hear(changed(hour=90))
    assert [move.share for move in await office.tick(90)] == [0.05]
    assert await office.tick(300) == []


async def test_a_held_student_does_not_climb_the_ramp(office: Office) -> None:
    await office.in_force(share=0.05)
    await office.hear(changed(hour=30), *(audit(hour=40) for _ in range(20)))
    assert await office.tick(30) == await office.tick(60) == []
    await office.hear(decision(hour=61))
    # Nothing is given back, as it had no more: the step goes on where it was.
    [step] = await office.tick(61)
    assert (step.share, step.reason) == (0.25, "ramp to 25%: 20 of 20 audited verdicts agreed at the step before")


async def test_a_hold_does_not_restart_the_step_of_the_ramp(office: Office) -> None:
    await office.in_force(share=0.25)
    await office.hear(*(audit(hour=51) for _ in range(6)), changed(hour=52))
    assert [move.share for move in await office.tick(52)] == [0.05]
    await office.hear(*(audit(hour=60) for _ in range(4)), decision(hour=75))
    assert [(move.share, move.reason) for move in await office.tick(75)] == [
        (0.25, "proven again: because of the numbers"),
        (1.0, "ramp to 100%: 10 of 10 audited verdicts agreed at the step before"),
    ]


async def test_a_threshold_found_while_held_is_told_at_the_canary_share(office: Office) -> None:
    await office.in_force()
    await office.hear(changed(hour=90))
    await office.tick(90)
    await office.hear(held(hour=95, threshold=0.9, coverage=0.4))
    [tighter] = await office.tick(95)
    assert (tighter.share, tighter.threshold) == (0.05, 0.9)
    await office.hear(decision(hour=140, threshold=0.9, coverage=0.4))
    [back] = await office.tick(140)
    assert (back.share, back.threshold) == (1.0, 0.9)


async def test_a_hold_survives_a_restart(office: Office) -> None:
    await office.in_force()
    await office.hear(changed(hour=90))
    await office.tick(90)
    await office.restart(json.loads(json.dumps(office.app.state())))
    assert await office.tick(91) == []
    await office.hear(decision(hour=140))
    assert [move.share for move in await office.tick(140)] == [1.0]


async def test_drift_of_a_held_student_demotes_it(office: Office) -> None:
    await office.in_force()
    await office.hear(changed(hour=90))
    await office.tick(90)
    await office.hear(drift(hour=92))
    assert await office.moves(92) == [(name(), "demoted")]
    await office.hear(decision(hour=140))
    assert await office.moves(140) == []


# The head, and what is withheld

WITHHELD = Withheld(answers={"label:refund": 0.9}, inputs=("text:1",), groups=("tenant=acme",))


def forward(head_threshold: float | None = None, withheld: Withheld = WITHHELD, *, hour: float) -> GateDecision:
    return decision(hour=hour).model_copy(update={"head_threshold": head_threshold, "withheld": withheld})


async def test_every_step_of_the_ramp_tells_of_the_head_and_of_what_is_withheld(office: Office) -> None:
    await office.on_trial()
    await office.hear(forward(0.6, hour=26))
    seen = [move for move in await office.tick(26) if move.stage == "promoted"]
    await office.hear(*(audit(hour=49) for _ in range(10)))
    seen += await office.tick(50)
    told = [(move.share, move.head_threshold, move.withheld) for move in seen]
    assert told == [(0.05, 0.6, WITHHELD), (0.25, 0.6, WITHHELD)]


async def test_a_head_that_is_proven_later_is_told_at_once_and_keeps_the_share(office: Office) -> None:
    await office.in_force()
    await office.hear(forward(0.6, Withheld(), hour=90))
    [move] = await office.tick(90)
    assert (move.share, move.head_threshold, move.threshold) == (1.0, 0.6, 0.8)
    assert await office.tick(91) == []


async def test_what_is_withheld_later_is_told_and_changes_nothing_else(office: Office) -> None:
    await office.in_force()
    before = student(office).story
    await office.hear(*(audit(hour=89) for _ in range(3)), forward(hour=90))
    [move] = await office.tick(90)
    assert move.withheld == WITHHELD
    same = {"id": before.id, "at": before.at, "withheld": before.withheld, "reason": before.reason}
    assert move.model_copy(update={**same, "evidence": before.evidence}) == before
    assert student(office).step_audited == 3
    assert await office.tick(91) == []


async def test_what_is_given_back_serves_again(office: Office) -> None:
    await office.in_force()
    await office.hear(forward(hour=90))
    await office.tick(90)
    await office.hear(forward(withheld=Withheld(), hour=120))
    [move] = await office.tick(120)
    assert move.withheld == Withheld()


async def test_answers_of_a_closed_set_are_spot_checked(office: Office) -> None:
    await office.in_force()
    assert student(office).story.spot_checks


async def test_free_text_is_not_spot_checked(office: Office) -> None:
    await office.hear(*(call(number, number / 100, answer=f"Dear {number}") for number in range(100)))
    await office.hear(story("promoted", share=0.05, threshold=0.8, evidence={"coverage": 0.6}))
    await office.hear(decision(hour=2, threshold=0.7))
    move, *_ = await office.tick(2)
    assert (move.stage, move.threshold, move.spot_checks) == ("promoted", 0.7, False)


async def test_by_default_the_ramp_takes_ten_and_then_35_audits() -> None:
    office = Office(settings=SETTINGS.model_copy(update={"step_verdicts": BudgetSettings().step_verdicts}))
    await office.in_force(share=0.25)
    await office.hear(*(audit(hour=60) for _ in range(34)))
    assert await office.tick(100) == []
    await office.hear(audit(hour=100))
    assert [move.share for move in await office.tick(100)] == [1.0]


# Successors


async def test_half_of_the_calls_are_kept_back_for_the_trial_of_a_successor(office: Office) -> None:
    hour = await office.succeeding()
    [move] = await office.tick(hour)
    assert (move.student, move.share, move.threshold) == (name(), 0.5, 0.8)
    assert move.reason == f"control group while {name(2)} is on trial"
    assert await office.tick(hour + 1) == []


async def test_what_was_kept_back_is_given_back(office: Office) -> None:
    hour = await office.succeeding()
    await office.tick(hour)
    await office.hear(decision("reject", version=2, hour=hour + 24))
    assert await office.moves(hour + 24) == [(name(2), "rejected")]
    await office.hear(*(audit(hour=hour + 25) for _ in range(10)))
    [move] = await office.tick(hour + 26)
    assert (move.student, move.share) == (name(), 1.0)


async def test_a_successor_that_serves_more_takes_over_at_once(office: Office) -> None:
    hour = await office.succeeding()
    await office.tick(hour)
    await office.hear(decision(version=2, hour=hour + 24, threshold=0.4, coverage=0.9))
    qualified, retired, promoted = await office.tick(hour + 24)
    assert (qualified.student, qualified.stage) == (name(2), "qualified")
    assert (retired.student, retired.stage, retired.share) == (name(), "retired", 0.0)
    assert retired.reason == f"succeeded by {name(2)}: serves 90% where {name()} serves 60%"
    assert (promoted.student, promoted.stage) == (name(2), "promoted")
    assert (promoted.share, promoted.threshold) == (0.5, 0.4)
    assert office.app.book(TASK).in_force is student(office, 2)


async def test_a_successor_that_serves_no_more_waits_until_it_has_cost_enough(office: Office) -> None:
    hour = await office.succeeding()
    await office.tick(hour)
    await office.hear(decision(version=2, hour=hour + 24, coverage=0.55))
    assert await office.moves(hour + 24) == [(name(2), "qualified")]
    assert await office.moves(hour + 25) == []
    await office.hear(*(shadow(version=2, hour=hour + 26) for _ in range(200)))
    assert await office.moves(hour + 27) == [(name(2), "rejected")]
    assert student(office, 2).story.reason == f"proved no more than {name()} in 200 verdicts"


async def test_of_students_that_serve_as_much_the_newer_is_in_force(office: Office) -> None:
    hour = await office.succeeding()
    await office.tick(hour)
    await office.hear(decision(version=2, hour=hour + 24, coverage=0.595))
    assert await office.moves(hour + 24) == [(name(2), "qualified"), (name(), "retired"), (name(2), "promoted")]


async def test_a_successor_that_is_still_being_made_keeps_nothing_back(office: Office) -> None:
    await office.in_force()
    await office.hear(*calls(100, 100, first=100), *(call(0, 101) for _ in range(2000)))
    assert await office.moves(102) == [(name(2), "authorised")]
    assert await office.moves(103) == []


# What was lost


async def test_a_student_in_force_that_cannot_be_tried_any_more_leaves(office: Office) -> None:
    await office.in_force()
    await office.hear(decision("reject", hour=90, reason="cannot read 'artifact-1'"))
    [move] = await office.tick(90)
    assert (move.stage, move.share, move.reason) == ("retired", 0.0, "cannot read 'artifact-1'")


async def test_a_ramp_goes_on_from_the_promotion_alone(office: Office) -> None:
    known: dict[str, Any] = {"threshold": 0.8, "evidence": {"coverage": 0.6}}
    await office.hear(story("promoted", 3, 0, share=0.25, artifact="artifact-3", **known))
    await office.hear(*(audit(version=3, hour=1) for _ in range(10)), trained(4, 2))
    [kept] = await office.tick(24)
    assert (kept.student, kept.share, kept.threshold, kept.artifact) == (name(3), 0.5, 0.8, "artifact-3")
    assert kept.evidence["coverage"] == 0.6


async def test_a_version_is_never_used_again(office: Office) -> None:
    seen: list[Promotion] = []
    await office.hear(story("retired", 7), *calls(100))
    for round_ in range(3):
        hour = 2 + 2 * round_
        [move] = await office.tick(hour)
        seen.append(move)
        inputs = 100 * 2 ** (round_ + 1)
        await office.hear(story("rejected", 8 + round_, hour + 1), *calls(inputs, hour + 1))
    assert [move.student for move in seen] == [name(8), name(9), name(10)]
