"""What people decided about a task, whatever the order and number of deliveries."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import (
    NOT_STEERED,
    PROMOTIONS,
    Promotion,
    Steering,
    SteeringAction,
    TaskSteering,
    encode,
    steer,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def decision(action: SteeringAction, minute: int = 0, student: str | None = None, event_id: str = "") -> Promotion:
    return steer(
        "triage",
        Steering(action=action, by="ada", student=student),
        "because",
        at=NOON + timedelta(minutes=minute),
        event_id=event_id or f"{action}-{minute}-{student}",
    )


decisions = st.builds(
    decision,
    st.sampled_from(get_args(SteeringAction)),
    st.integers(0, 3),
    st.sampled_from([None, "triage@1", "triage@2"]),
)


def fold(*events: Promotion) -> TaskSteering:
    state = NOT_STEERED
    for event in events:
        state = state.apply(event)
    return state


@given(st.lists(decisions, max_size=12), st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(events: list[Promotion], random: Any) -> None:
    again = [*events, *events]
    random.shuffle(again)
    assert fold(*again) == fold(*events)


@given(st.lists(decisions, max_size=12))
def test_compaction_by_the_key_of_messages_changes_nothing(events: list[Promotion]) -> None:
    kept = {PROMOTIONS.key(event): event for event in sorted(events, key=lambda event: (event.at, event.id))}
    assert fold(*kept.values()) == fold(*events)


@given(st.lists(decisions, max_size=12))
def test_the_state_survives_json(events: list[Promotion]) -> None:
    state = fold(*events)
    assert TaskSteering.model_validate_json(state.model_dump_json()) == state


def test_the_latest_decision_on_an_aspect_holds() -> None:
    paused = fold(decision("pause"), decision("pin", student="triage@1"))
    assert paused.is_halted
    assert paused.pinned == "triage@1"
    resumed = fold(decision("resume", 2), *paused.latest.values(), decision("unpin", 3), decision("mark_critical", 1))
    assert (resumed.paused, resumed.pinned) == (None, None)
    assert resumed.critical is not None
    assert resumed.is_halted
    assert not fold(*resumed.latest.values(), decision("unmark_critical", 4)).is_halted


def test_each_student_is_ended_and_approved_for_itself() -> None:
    state = fold(decision("demote", student="triage@1"), decision("approve", student="triage@2"))
    assert state.ended("triage@1") is not None
    assert state.ended("triage@2") is None
    assert state.approved("triage@1") is None
    assert state.approved("triage@2") is not None


@pytest.mark.parametrize("action", get_args(SteeringAction))
def test_readers_that_do_not_know_decisions_see_the_end_of_a_student_that_never_began(action: SteeringAction) -> None:
    event = PROMOTIONS.decode(encode(decision(action, student="triage@1")))
    assert isinstance(event, Promotion)
    before = event.model_dump(exclude={"steering"})
    assert (before["student"], before["stage"], before["share"], before["artifact"]) == (
        "triage@0", "retired", 0.0, None,
    )  # fmt: skip
