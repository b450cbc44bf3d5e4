"""Subgroups of the calls: which are withheld, which are not, and how often one is without cause."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.gate import Gate
from understudies.stats.subgroups import SubgroupMonitor

verdicts = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), unique=True), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)),
    max_size=60,
)


def fed(groups: SubgroupMonitor, name: str, n: int, failures: int, confidence: float = 0.9) -> SubgroupMonitor:
    for number in range(n):
        groups.add([name], float(number >= failures), confidence)
    return groups


def test_a_lone_subgroup_fails_when_a_gate_at_its_agreement_rejects() -> None:
    for failures in range(3, 30):
        groups = fed(SubgroupMonitor([0.5], p_null=0.9), "tenant=a", 60, failures)
        assert (groups.failing_groups(0.5) == ["tenant=a"]) == (
            Gate.from_counts(60 - failures, 60, p0=0.9).reject_e >= 20
        )


def test_a_subgroup_that_owes_less_than_the_promise_is_let_be() -> None:
    assert fed(SubgroupMonitor([0.5], p_null=0.9), "tenant=a", 500, 40).failing_groups(0.5) == []


def test_each_threshold_counts_only_what_it_serves() -> None:
    groups = fed(SubgroupMonitor([0.8, 0.5], p_null=0.9), "tenant=a", 60, 30, confidence=0.6)
    fed(groups, "tenant=a", 60, 0, confidence=0.95)

    assert (groups.failing_groups(0.8), groups.failing_groups(0.5), groups.failing_groups(0.1)) == (
        [],
        ["tenant=a"],
        [],
    )
    assert (groups.counts("tenant=a", 0.8), groups.counts("tenant=a", 0.5)) == ((60, 60), (90, 120))
    assert groups.counts("tenant=a", 0.1) == groups.counts("tenant=b", 0.5) == (0, 0)


def test_many_healthy_subgroups_raise_the_evidence_that_one_needs() -> None:
    def is_told(others: int) -> bool:
        groups = fed(SubgroupMonitor([0.5], p_null=0.9), "tenant=bad", 20, 8)
        for other in range(others):
            fed(groups, f"tenant={other}", 20, 0)
        return "tenant=bad" in groups.failing_groups(0.5)

    assert is_told(0)
    assert not is_told(400)


def test_subgroups_that_fail_together_help_each_other() -> None:
    # Of 40, one alone must show 800 against its agreement; twenty alike must show 40 each.
    def told(bad: int) -> int:
        groups = SubgroupMonitor([0.5], p_null=0.9)
        for number in range(40):
            fed(groups, f"tenant={number}", 20, 8 if number < bad else 0)
        return len(groups.failing_groups(0.5))

    assert (told(1), told(20)) == (0, 20)


def test_a_call_of_several_subgroups_counts_for_each() -> None:
    groups = SubgroupMonitor([0.5], p_null=0.9)
    for _ in range(20):
        groups.add(["tenant=a", "tag=x"], 0.0, 0.9)
    assert groups.failing_groups(0.5) == ["tag=x", "tenant=a"]


def test_subgroups_beyond_the_most_are_counted_and_not_watched() -> None:
    groups = SubgroupMonitor([0.5], p_null=0.9, max_groups=2)
    for name in ("a", "b", "c", "c", "a"):
        groups.add([name], 0.0, 0.9)
    assert (groups.skipped, groups.counts("a", 0.5), groups.counts("c", 0.5)) == (2, (0, 2), (0, 0))


@settings(deadline=None)
@given(verdicts, verdicts)
def test_state_round_trips_and_the_fold_continues(
    before: list[tuple[list[str], float, float]], after: list[tuple[list[str], float, float]]
) -> None:
    groups = SubgroupMonitor([0.7, 0.3], p_null=0.5, max_groups=2)
    for verdict in before:
        groups.add(*verdict)
    restored = SubgroupMonitor.from_state(json.loads(json.dumps(groups.state(), allow_nan=False)))
    for verdict in after:
        groups.add(*verdict)
        restored.add(*verdict)
    assert restored.state() == groups.state()
    assert restored.failing_groups(0.3) == groups.failing_groups(0.3)


def test_refuses_what_is_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"p_null .*1\.0"):
        SubgroupMonitor([0.5], p_null=1.0)
    with pytest.raises(ValueError, match="alpha"):
        SubgroupMonitor([0.5], p_null=0.9, alpha=0.0)
    with pytest.raises(ValueError, match="score"):
        SubgroupMonitor([0.5], p_null=0.9).add(["a"], 2.0, 0.9)


def test_of_the_subgroups_told_few_are_told_without_cause() -> None:
    """Twenty subgroups at the agreement that they owe, two that agree 60%: the false discovery rate is that of e-BH.

    The two that fail are told in all of 60 runs, and the mean share of those told without cause is 0.
    """
    shares, found = [], 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = SubgroupMonitor([0.5], p_null=0.9)
        for number in range(22):
            for agreed in (rng.random(120) < (0.6 if number < 2 else 0.9)).tolist():
                groups.add([f"{number:02}"], float(agreed), 0.9)
        told = groups.failing_groups(0.5)
        found += {"00", "01"} <= set(told)
        shares.append(sum(name > "01" for name in told) / max(1, len(told)))
    assert np.mean(shares) <= 0.05
    assert found == 60
