"""What an episode asks of its calls: the target of each, the threshold for it, and who may go on with it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.router_fixtures import ARTIFACT, NOON, make_promotion

from understudies.events import Reason
from understudies.router.routing.decision import Decision, TaskRoute, after_student, decide
from understudies.router.routing.episodes import (
    TEACHER_VARIANT,
    EpisodeTarget,
    apply_variant,
    initial_variant,
    per_call_target,
    proven_threshold,
    with_episode_threshold,
)
from understudies.router.routing.table import RoutingTable

LEVELS = ((0.95, 0.5), (0.97, 0.7), (0.98, 0.8), (0.99, 0.95))
STUDENT = "triage@3"
REASONS: tuple[Reason, ...] = (
    "no_student", "critical", "drift", "control", "over_budget", "unsuitable", "not_allowed", "circuit_open",
)  # fmt: skip

targets = st.floats(0.01, 0.999)
steps = st.integers(1, 50)
levels = st.lists(st.tuples(st.floats(0.5, 0.999), st.floats(0, 1)), max_size=6, unique_by=lambda level: level[0]).map(
    lambda pairs: tuple(zip(sorted(a for a, _ in pairs), sorted(c for _, c in pairs), strict=True))
)


def route(proven: tuple[tuple[float, float], ...] = LEVELS, *, threshold: float = 0.5, share: float = 1.0) -> TaskRoute:
    return TaskRoute(STUDENT, ARTIFACT, threshold, share, levels=proven)


def asked(**changes: object) -> Decision:
    return Decision("promoted", route(**changes))  # type: ignore[arg-type]  # the route's own keywords


# Targets


def test_nine_in_ten_over_five_steps_take_979_a_call() -> None:
    assert per_call_target(0.9, 5) == pytest.approx(0.97915, abs=1e-5)
    assert math.isclose(0.95**5, 0.77, abs_tol=5e-3), "what the task's own promise would come to"


@given(targets, steps)
def test_so_many_calls_at_their_target_keep_the_episodes(target: float, n: int) -> None:
    each = per_call_target(target, n)
    assert each**n == pytest.approx(target, rel=1e-9)
    assert target <= each < 1 or each == pytest.approx(target)
    assert 1 - n * (1 - each) <= target + 1e-9, "the bound under any dependence is the lower one"


@given(targets, steps)
def test_more_steps_ask_for_more(target: float, n: int) -> None:
    assert per_call_target(target, n + 1) > per_call_target(target, n)


@pytest.mark.parametrize(("target", "n"), [(0.0, 5), (1.0, 5), (1.1, 5), (math.nan, 5), (0.9, 0), (0.9, -1)])
def test_an_impossible_target_is_refused(target: float, n: int) -> None:
    with pytest.raises(ValueError, match=r"episode"):
        EpisodeTarget(target, n)


# Thresholds


@pytest.mark.parametrize(
    ("target", "threshold"),
    [(None, 0.5), (0.9, 0.5), (0.95, 0.5), (0.951, 0.7), (0.979, 0.8), (0.99, 0.95), (0.991, None)],
)
def test_the_loosest_threshold_that_proves_the_target_is_taken(target: float | None, threshold: float | None) -> None:
    assert proven_threshold(route(), target) == threshold


def test_without_levels_only_a_call_without_target_is_served() -> None:
    assert proven_threshold(route(()), None) == 0.5
    assert proven_threshold(route(()), 0.9) is None


@given(levels, st.floats(0, 1), targets)
def test_the_threshold_taken_proves_the_target_and_no_looser_one_does(
    proven: tuple[tuple[float, float], ...], own: float, target: float
) -> None:
    found = proven_threshold(route(proven, threshold=own), target)
    enough = [threshold for agreement, threshold in proven if agreement >= target - 1e-9]
    if found is None:
        assert enough == []
    else:
        assert found >= own, "an episode is never served from a looser threshold than the task"
        assert found == max(own, min(enough))


@given(levels, targets, targets)
def test_a_higher_target_never_loosens(proven: tuple[tuple[float, float], ...], one: float, other: float) -> None:
    low, high = sorted((one, other))
    loose, strict = proven_threshold(route(proven), low), proven_threshold(route(proven), high)
    assert strict is None or (loose is not None and loose <= strict)


@given(levels, st.floats(0.0, 1.0), targets, steps, st.integers(0, 60))
def test_whatever_an_episode_serves_the_task_would_have_served(
    proven: tuple[tuple[float, float], ...], confidence: float, target: float, n: int, served: int
) -> None:
    decision = with_episode_threshold(asked(proven=proven), EpisodeTarget(target, n), served)
    if decision.is_for_student and after_student(decision, confidence).is_for_student:
        assert after_student(asked(proven=proven), confidence).is_for_student


def test_a_tightened_call_is_settled_and_recorded_at_the_threshold_of_its_episode() -> None:
    decision = with_episode_threshold(asked(), EpisodeTarget(0.9, 5))
    assert after_student(decision, 0.79).reason == "low_confidence"
    assert after_student(decision, 0.8).reason == "promoted"
    assert decision.to_record().threshold == 0.8


def test_where_nothing_is_proven_for_it_the_teacher_serves() -> None:
    decision = with_episode_threshold(asked(), EpisodeTarget(0.95, 20))
    assert (decision.reason, decision.is_for_student) == ("episode_target", False)
    assert decision.to_record().threshold == 0.5


@pytest.mark.parametrize(
    ("served", "reason"), [(0, "promoted"), (4, "promoted"), (5, "episode_target"), (9, "episode_target")]
)
def test_after_the_declared_steps_the_teacher_serves(served: int, reason: str) -> None:
    assert with_episode_threshold(asked(), EpisodeTarget(0.9, 5), served).reason == reason


def test_an_episode_that_asks_for_more_has_the_head_from_the_teacher() -> None:
    task = Decision("promoted", replace(route(), head_threshold=0.5))
    assert after_student(task, 1.0, head="text:1").reason == "promoted"
    assert after_student(with_episode_threshold(task, EpisodeTarget(0.9, 5)), 1.0, head="text:1").reason == "unproven"


def test_a_call_of_no_episode_target_is_left_alone() -> None:
    assert with_episode_threshold(asked(), None, 99) == asked()


@pytest.mark.parametrize("reason", REASONS)
def test_a_target_gives_a_student_nothing(reason: Reason) -> None:
    decision = Decision(reason, route())
    assert with_episode_threshold(decision, EpisodeTarget(0.9, 5)) == decision


# Pins


def test_an_episode_begins_with_whom_it_would_be() -> None:
    assert initial_variant(asked()) == STUDENT
    assert {initial_variant(Decision(reason, route())) for reason in REASONS} == {TEACHER_VARIANT}
    assert initial_variant(Decision("no_student")) == TEACHER_VARIANT


def test_what_the_teacher_began_stays_with_the_teacher() -> None:
    assert apply_variant(asked(), TEACHER_VARIANT).reason == "pinned"
    assert apply_variant(Decision("control", route()), TEACHER_VARIANT).reason == "control"


def test_what_a_student_began_it_goes_on_with() -> None:
    assert apply_variant(asked(), STUDENT) == asked()


def test_a_student_in_force_keeps_its_episodes_when_the_share_shrinks() -> None:
    left_out = next(
        decision
        for number in range(99)
        if (decision := decide(route(share=0.5), task="triage", sticky_key=str(number))).reason == "control"
    )
    assert apply_variant(left_out, STUDENT).is_for_student
    assert apply_variant(left_out, "triage@2").reason == "control"


def test_what_another_student_began_the_teacher_goes_on_with() -> None:
    assert apply_variant(asked(), "triage@2").reason == "pinned"


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != "control"])
def test_a_pin_never_brings_a_student_back(reason: Reason) -> None:
    decision = Decision(reason, route())
    assert apply_variant(decision, STUDENT) == decision
    assert apply_variant(Decision("no_student"), STUDENT) == Decision("no_student")


@given(st.sampled_from([*REASONS, "promoted"]), st.sampled_from([TEACHER_VARIANT, STUDENT, "triage@2"]))
def test_only_the_student_that_began_it_serves_on(reason: Reason, variant: str) -> None:
    decision = apply_variant(Decision(reason, route()), variant)
    assert not decision.is_for_student or variant == STUDENT
    assert apply_variant(decision, variant) == decision


def test_levels_of_a_promotion_reach_the_threshold_of_an_episode() -> None:
    table = RoutingTable().apply(make_promotion(threshold=0.5, levels=LEVELS))
    found = table.route("triage", NOON)
    assert found is not None
    assert proven_threshold(found, EpisodeTarget(0.9, 5).per_call) == 0.8
