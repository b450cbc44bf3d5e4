"""Folding promotions and drift into the routing table."""

import json
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.router_fixtures import ARTIFACT, NOON, make_drift, make_promotion

from understudies.events import NOTHING_WITHHELD, Event, Promotion, Steering, SteeringAction, Withheld, steer
from understudies.router.routing.decision import TaskRoute
from understudies.router.routing.table import RoutingTable

STAGES = ("authorised", "collected", "trained", "qualified", "rejected", "promoted", "demoted", "retired")
BEYOND: list[dict[str, Any]] = [
    {},
    {"head_threshold": 0.6},
    {"withheld": {"answers": {"label:a": 0.9}, "groups": ["tenant=acme"]}, "spot_checks": True},
    {"withheld": {"inputs": ["text:1"]}, "head_threshold": 0.0},
]
minutes = st.integers(0, 3)
students = st.sampled_from(["triage@1", "triage@2"])
promotions = st.builds(
    lambda stage, minute, student, share, levels, beyond: make_promotion(
        stage,
        minute=minute,
        student=student,
        share=share,
        levels=levels,
        id=f"{stage}{minute}{share}{len(levels)}{beyond}",
        **BEYOND[beyond],
    ),
    st.sampled_from(STAGES),
    minutes,
    students,
    st.sampled_from([0.05, 0.25, 1.0]),
    st.sampled_from([(), ((0.95, 0.8),), ((0.95, 0.8), (0.98, 0.9))]),
    st.integers(0, 3),
)
drifts = st.builds(
    lambda tier, minute, student, cause: make_drift(tier, minute=minute, student=student, cause=cause),
    st.sampled_from(["warn", "contract"]),
    minutes,
    students,
    st.sampled_from(["agreement", "traffic", "teacher", "calendar"]),
)
stories = st.lists(promotions | drifts, max_size=12)


def table_of(*events: Event) -> RoutingTable:
    table = RoutingTable()
    for event in events:
        table = table.apply(event)
    return table


def route_of(*events: Event, minute: float = 30) -> TaskRoute | None:
    return table_of(*events).route("triage", NOON + timedelta(minutes=minute))


@given(stories, st.randoms(use_true_random=False))
def test_order_and_replays_do_not_matter(story: list[Event], random: Any) -> None:
    again = [*story, *story]
    random.shuffle(again)
    assert table_of(*again) == table_of(*story)


@given(stories)
def test_the_state_survives_json(story: list[Event]) -> None:
    table = table_of(*story)
    assert RoutingTable.from_state(json.loads(json.dumps(table.state()))) == table


@given(stories)
def test_whoever_serves_was_promoted_last_and_is_no_further(story: list[Event]) -> None:
    table = table_of(*story)
    route = table.route("triage", NOON)
    serving = {name for name, standing in table.students.get("triage", {}).items() if standing.stage == "promoted"}
    assert (route is None) == (not serving)
    if route is not None:
        # Ids of real events differ; of two students with the same one the later by name serves.
        latest = max(serving, key=lambda name: (table.students["triage"][name].stage_order, name))
        assert route.student == latest


def test_a_promotion_puts_the_student_in_force() -> None:
    route = route_of(make_promotion(share=0.05, threshold=0.7, audit_rate=0.1))
    assert route == TaskRoute("triage@1", ARTIFACT, 0.7, 0.05, drifted=False, audit_probability=0.1)


def test_a_larger_share_replaces_the_smaller() -> None:
    route = route_of(make_promotion(share=0.05), make_promotion(minute=1, share=0.25))
    assert route is not None
    assert route.share == 0.25


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "promoted"])
def test_any_other_stage_takes_the_student_out(stage: str) -> None:
    assert route_of(make_promotion(), make_promotion(stage, minute=1)) is None


def test_at_one_moment_the_demotion_counts() -> None:
    assert route_of(make_promotion("demoted"), make_promotion()) is None
    assert route_of(make_promotion(), make_promotion("demoted")) is None


def test_the_student_promoted_last_serves_alone() -> None:
    route = route_of(make_promotion(), make_promotion(student="triage@2", minute=1, share=0.05))
    assert route is not None
    assert (route.student, route.share) == ("triage@2", 0.05)


def test_when_the_later_student_is_demoted_the_earlier_one_serves_again() -> None:
    later = "triage@2"
    route = route_of(
        make_promotion(),
        make_promotion(student=later, minute=1),
        make_drift(student=later),
        make_promotion("demoted", student=later, minute=2),
    )
    assert route is not None
    assert (route.student, route.drifted) == ("triage@1", False)


@pytest.mark.parametrize("missing", ["artifact", "threshold"])
def test_a_promotion_that_lacks_what_serving_needs_puts_nobody_in_force(missing: str) -> None:
    assert route_of(make_promotion().model_copy(update={missing: None})) is None


def test_drift_takes_the_student_out_at_once() -> None:
    route = route_of(make_promotion(), make_drift())
    assert route is not None
    assert route.drifted


def test_at_one_moment_the_alarm_counts() -> None:
    route = route_of(make_promotion(), make_drift(minute=0))
    assert route is not None
    assert route.drifted


@pytest.mark.parametrize("student", ["triage@1", "triage@2"])
def test_a_promotion_after_the_alarm_ends_it(student: str) -> None:
    route = route_of(make_promotion(), make_drift(), make_promotion(student=student, minute=2))
    assert route is not None
    assert (route.student, route.drifted) == (student, False)


def test_an_alarm_that_found_no_drift_changes_nothing() -> None:
    assert route_of(make_promotion(), make_drift(drifted=False)) == route_of(make_promotion())


def test_drift_of_one_student_is_not_drift_of_another() -> None:
    route = route_of(make_promotion(student="triage@2"), make_drift(student="triage@1"))
    assert route is not None
    assert not route.drifted


@pytest.mark.parametrize(("minute", "rate", "expected"), [(2, 0.03, 0.3), (2, 0.5, 1.0), (1 + 24 * 60, 0.03, 0.03)])
def test_a_warning_raises_the_audit_rate_tenfold_for_a_day(minute: int, rate: float, expected: float) -> None:
    route = route_of(make_promotion(audit_rate=rate), make_drift("warn", drifted=False), minute=minute)
    assert route is not None
    assert route.audit_probability == pytest.approx(expected)
    assert not route.drifted


@pytest.mark.parametrize(
    ("usual", "rate", "expected"),
    [(0.03, 0.5, 0.5), (0.08, 0.5, 0.8), (0.5, 0.5, 1.0), (0, 0.5, 0.5), ("a lot", 0.03, 0.3), (7, 0.03, 0.3)],
)
def test_a_warning_multiplies_the_usual_rate_and_not_one_raised_for_a_proof(
    usual: Any, rate: float, expected: float
) -> None:
    promoted = make_promotion(audit_rate=rate, evidence={"usual_audit_rate": usual})
    route, warned = route_of(promoted), route_of(promoted, make_drift("warn", drifted=False), minute=2)
    assert route is not None
    assert warned is not None
    assert route.audit_probability == rate
    assert warned.audit_probability == pytest.approx(expected)


def test_the_table_names_its_tasks_and_artifacts() -> None:
    table = table_of(make_promotion(), make_promotion("demoted", student="triage@2", artifact="memory://b"))
    assert table.tasks == ["triage"]
    assert table.artifacts == {ARTIFACT}
    assert table.route("another", NOON) is None


def test_what_is_proven_beyond_the_promise_is_on_the_route() -> None:
    levels = ((0.95, 0.8), (0.98, 0.9))
    first = make_promotion(levels=levels)
    route = route_of(first)
    assert route is not None
    assert route.levels == levels
    taken_back = route_of(first, make_promotion(minute=1, levels=levels[:1]))
    assert taken_back is not None
    assert taken_back.levels == levels[:1]


def test_a_promotion_of_before_there_were_levels_has_none() -> None:
    route = route_of(make_promotion())
    assert route is not None
    assert route.levels == ()


def test_what_the_head_may_serve_and_what_is_withheld_is_on_the_route() -> None:
    withheld = Withheld(answers={"label:a": 0.9}, inputs=("text:1",), groups=("tenant=acme",))
    first = make_promotion(head_threshold=0.6, withheld=withheld, spot_checks=True)
    route = route_of(first)
    assert route is not None
    assert (route.head_threshold, route.withheld, route.spot_checks) == (0.6, withheld, True)
    taken_back = route_of(first, make_promotion(minute=1))
    assert taken_back is not None
    assert (taken_back.head_threshold, taken_back.withheld, taken_back.spot_checks) == (None, NOTHING_WITHHELD, False)


def test_a_table_of_before_there_was_a_head_has_none() -> None:
    state = table_of(make_promotion(head_threshold=0.6, spot_checks=True)).state()
    for field in ("head_threshold", "withheld", "spot_checks", "levels"):
        del state["triage"]["triage@1"][field]
    route = RoutingTable.from_state(state).route("triage", NOON)
    assert route == TaskRoute("triage@1", ARTIFACT, 0.8, 1.0)


@pytest.mark.parametrize("cause", ["traffic", "teacher", "calendar"])
def test_a_change_that_proves_nothing_against_the_student_leaves_it_in_force(cause: str) -> None:
    route = route_of(make_promotion(audit_rate=0.03), make_drift("warn", cause=cause), minute=2)
    assert route is not None
    assert not route.drifted
    assert route.audit_probability == pytest.approx(0.3)


def steered(action: Any, minute: int = 10, student: str | None = None) -> Promotion:
    steering = Steering(action=action, by="ada", student=student)
    at = NOON + timedelta(minutes=minute)
    return steer("triage", steering, "because", at=at, event_id=f"{action}-{minute}-{student}")


decisions = st.builds(
    steered, st.sampled_from(get_args(SteeringAction)), minutes, st.sampled_from([None, "triage@1", "triage@2"])
)


@given(st.lists(promotions | drifts | decisions, max_size=12), st.randoms(use_true_random=False))
def test_decisions_of_people_are_folded_in_any_order_and_survive_json(story: list[Event], random: Any) -> None:
    again = [*story, *story]
    random.shuffle(again)
    table = table_of(*again)
    assert table == table_of(*story)
    assert RoutingTable.from_state(json.loads(json.dumps(table.state()))) == table


@pytest.mark.parametrize(("halt", "go_on"), [("pause", "resume"), ("mark_critical", "unmark_critical")])
def test_the_teacher_serves_a_task_that_is_paused_or_critical(halt: str, go_on: str) -> None:
    promoted = make_promotion("promoted", minute=1)
    assert route_of(promoted, steered(halt)) is None
    assert route_of(steered(halt), promoted) is None
    assert table_of(promoted, steered(halt)).tasks == []
    assert table_of(promoted, steered(halt)).artifacts, "it stays loaded, to go on at once"
    assert route_of(steered(go_on, 11), promoted, steered(halt)) == route_of(promoted)


@pytest.mark.parametrize("end", ["demote", "retire"])
def test_a_student_that_people_ended_serves_no_more_whatever_is_promoted_meanwhile(end: str) -> None:
    story = [make_promotion("promoted", minute=1), steered(end, student="triage@1")]
    assert route_of(*story, make_promotion("promoted", minute=20)) is None
    other = make_promotion("promoted", student="triage@2", minute=0)
    served = route_of(other, *story)
    assert served is not None
    assert served.student == "triage@2"
