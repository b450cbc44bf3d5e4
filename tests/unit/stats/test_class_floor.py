"""The floor on agreement within each answer class, and what is withheld for a class below it."""

import json

import numpy as np
import pytest

from understudies.stats.bounds import clopper_pearson_upper
from understudies.stats.class_floor import ClassFloor, Confusion, critical_agreements


def counted(n: int, agree: int, *, confidence: float = 0.9, least: int = 2) -> ClassFloor:
    """A floor that has seen so many verdicts of one class, the first of them agreements."""
    counts = ClassFloor([0.5], min_verdicts=least)
    for call in range(n):
        counts.add("class", float(call < agree), confidence, "answer")
    return counts


def test_the_floor_waits_for_enough_verdicts() -> None:
    counts = counted(1, 0)
    assert counts.failing_classes(0.5) == []
    counts.add("class", 0.0, 0.9, "answer")
    assert counts.failing_classes(0.5) == ["class"]


@pytest.mark.parametrize(("least", "failing"), [(19, ["class"]), (20, ["class"]), (21, [])])
def test_how_many_are_enough_can_be_said(least: int, failing: list[str]) -> None:
    assert counted(20, 0, least=least).failing_classes(0.5) == failing


def test_a_class_fails_only_when_shown_to_lie_below_the_floor() -> None:
    assert counted(2, 1).failing_classes(0.5) == [], "1 of 2 happens to a class at .80 in one case of three"
    assert counted(20, 13).failing_classes(0.5) == [], "13 of 20 happens to a class at .80 in one case of twelve"
    assert counted(22, 13).failing_classes(0.5) == ["class"]


@pytest.mark.parametrize("n", [2, 3, 20, 37, 200, 5000])
def test_the_test_is_the_clopper_pearson_upper_bound(n: int) -> None:
    critical = critical_agreements(n, 0.8)
    for agree in range(round(n * 0.6), round(n * 0.85)):
        assert (agree < critical) == (clopper_pearson_upper(agree, n) < 0.8)


@pytest.mark.parametrize(("floor", "critical"), [(0.0, 0), (1.0, 7)])
def test_a_floor_of_nothing_or_all_needs_no_test(floor: float, critical: int) -> None:
    assert critical_agreements(7, floor) == critical


def test_each_threshold_counts_only_what_it_serves() -> None:
    counts = ClassFloor([0.9, 0.5, 0.1])
    for _ in range(20):
        counts.add("good", 1.0, 0.95, "good")
        counts.add("bad", 0.0, 0.3, "good")

    assert [counts.failing_classes(confidence) for confidence in (0.9, 0.5, 0.1)] == [[], [], ["bad"]]
    assert [counts.class_counts("bad", confidence) for confidence in (0.9, 0.5, 0.1, 0.05)] == [
        (0, 0),
        (0, 0),
        (20, 0),
        (0, 0),
    ]


def test_what_a_failing_class_was_taken_for_is_withheld_up_to_where_it_was() -> None:
    counts = ClassFloor([0.9, 0.5])
    counts.add("refund", 0.0, 0.95, "billing")
    counts.add("refund", 0.0, 0.92, "billing")
    counts.add("refund", 0.0, 0.97, "shipping")
    counts.add("refund", 0.0, 0.6, "greeting")
    counts.add("greeting", 0.0, 0.99, "refund")

    assert counts.answers_to_withhold(0.9) == {"billing": Confusion(0.95, 2), "shipping": Confusion(0.97, 1)}, (
        "less sure ones are not served anyway"
    )
    assert counts.answers_to_withhold(0.5) == counts.confusions_of("refund")
    assert counts.confusions_of("refund")["greeting"] == Confusion(0.6, 1)
    assert counts.confusions_of("unheard of") == {}


def test_what_the_same_class_got_right_is_not_withheld() -> None:
    counts = ClassFloor([0.5])
    for call in range(6):
        counts.add("refund", float(call == 0), 0.8, "refund" if call == 0 else "billing")
    assert counts.answers_to_withhold(0.5) == {"billing": Confusion(0.8, 5)}


def test_a_class_that_training_hardly_saw_fails_whatever_the_confidence() -> None:
    counts = ClassFloor([0.9], {"known": 10, "rare": 9})
    for name in ("known", "rare", "new"):
        for confidence in (0.2, 0.95):
            counts.add(name, 0.0, confidence, "other")

    assert [counts.is_rare(name) for name in ("known", "rare", "new", None)] == [False, True, True, False]
    assert counts.failing_classes(0.9) == ["new", "rare"], "of the known class one verdict was served"
    assert counts.answers_to_withhold(0.9) == {"other": Confusion(0.95, 4)}


def test_where_training_is_not_known_no_class_is_rare() -> None:
    assert not ClassFloor([0.9]).is_rare("new")


def test_state_round_trips_through_json_and_the_fold_continues() -> None:
    counts = ClassFloor([0.9, 0.5], {"ä": 3}, floor=0.7, min_verdicts=3)
    for confidence in (0.4, 0.95):
        counts.add("ä", 0.0, confidence, "b")
        counts.add("b", 1.0, confidence, "b")
    restored = ClassFloor.from_state(json.loads(json.dumps(counts.state())))
    assert restored.state() == counts.state()
    for one in (counts, restored):
        one.add("ä", 0.0, 0.7, "c")
    assert restored.state() == counts.state()
    assert (
        restored.answers_to_withhold(0.5)
        == counts.answers_to_withhold(0.5)
        == {"b": Confusion(0.95, 2), "c": Confusion(0.7, 1)}
    )


def test_refuses_a_floor_that_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        ClassFloor([0.5], floor=1.5)


def test_a_class_well_above_the_floor_is_seldom_withheld() -> None:
    # One look errs at 5% and a class is looked at again and again: the error is on the side of withholding.
    rng = np.random.default_rng(11)
    runs = 2000
    n = 60
    agreed = np.cumsum(rng.random((runs, n)) < 0.9, axis=1)
    critical = np.array([critical_agreements(k, 0.8) for k in range(1, n + 1)])
    assert ((agreed < critical)[:, 1:]).any(axis=1).mean() < 0.05
