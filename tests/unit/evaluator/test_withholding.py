"""What a student must not answer though its gates have passed."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.support.datasets import START

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.withholding import (
    FailingClasses,
    Withholding,
)
from understudies.events import ALWAYS, NOTHING_WITHHELD, Withheld
from understudies.stats.class_floor import ClassFloor, Confusion
from understudies.stats.subgroups import SubgroupMonitor

CONFIDENCES = [0.9, 0.5]


def reach() -> ExpectedCoverage:
    """`billing` is mostly surer than .9, `shipping` mostly not."""
    found = ExpectedCoverage(list(CONFIDENCES))
    for confidence, answer, calls in (
        (0.95, "billing", 60), (0.6, "billing", 40), (0.95, "shipping", 10), (0.6, "shipping", 90),
    ):  # fmt: skip
        found.add_tail_call(confidence, answer, calls)
    return found


def new(carried: FailingClasses | None = None, **floor: Any) -> Withholding:
    groups = SubgroupMonitor(CONFIDENCES, p_null=0.9)
    return Withholding(ClassFloor(CONFIDENCES, **floor), groups, reach(), carried=carried)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def say(
    known: Withholding, n: int, score: float, kind: str = "refund", answer: str = "billing", confidence: float = 0.6,
    **changes: Any,
) -> Withholding:  # fmt: skip
    """So many verdicts, each on an input of its own."""
    for number in range(n):
        piece = Observation(score, confidence, at(0), answer_class=kind, answer=answer, **changes)
        known.add(Input(f"{kind}-{answer}-{number}"), piece)
    return known


def test_nothing_is_withheld_at_first() -> None:
    assert new().compute_withheld(0.5) == NOTHING_WITHHELD


def test_what_a_failing_class_was_taken_for_goes_on_above_where_it_was_wrong() -> None:
    assert say(new(), 2, 0).compute_withheld(0.5).answers == {"billing": 0.6}


def test_where_the_student_was_as_sure_as_it_usually_is_the_answer_is_withheld_altogether() -> None:
    # Most calls answered `shipping` are no surer than .6.
    assert say(new(), 3, 0, answer="shipping").compute_withheld(0.5).answers == {"shipping": ALWAYS}
    assert say(new(), 3, 0, answer="shipping", confidence=0.4).compute_withheld(0.5).answers == {}
    assert say(say(new(), 2, 0, answer="shipping"), 1, 0).compute_withheld(0.5).answers == {
        "billing": 0.6,
        "shipping": 0.6,
    }, "twice may be chance"
    assert say(new(), 3, 0, confidence=0.97).compute_withheld(0.9).answers == {"billing": ALWAYS}, (
        "at the strictest threshold too"
    )


def test_other_answers_go_on() -> None:
    known = say(say(new(), 2, 0), 50, 1, kind="shipping", answer="shipping")
    assert list(known.compute_withheld(0.5).answers) == ["billing"]


def test_of_an_inputs_repeats_a_class_counts_the_first_of_each_day() -> None:
    known = new()
    for hour in range(5):
        known.add(Input("same"), Observation(0, 0.6, at(hour / 24), answer_class="refund", answer="billing"))
    assert known.compute_withheld(0.5).answers == {}
    known.add(Input("same"), Observation(0, 0.6, at(1), answer_class="refund", answer="billing"))
    assert known.compute_withheld(0.5).answers == {"billing": 0.6}


def test_an_input_of_the_head_is_judged_by_its_own_calls() -> None:
    known = say(new(), 2, 0, head="often")
    assert known.compute_withheld(0.5) == Withheld(inputs=("often",))
    assert say(new(), 20, 1, head="often").compute_withheld(0.5) == NOTHING_WITHHELD


def test_a_group_that_fails_is_withheld_and_one_that_was_found_elsewhere_too() -> None:
    known = say(say(new(), 60, 0, kind="", groups=("tenant=bad",)), 300, 1, groups=("tenant=good",))
    assert known.compute_withheld(0.5, ["day=weekend"]).groups == ("day=weekend", "tenant=bad")


def test_what_is_withheld_once_stays_so() -> None:
    known = new()
    known.withheld = Withheld(answers={"billing": 0.8}, inputs=("often",), groups=("tenant=a",))
    assert known.compute_withheld(0.5) == known.withheld
    say(known, 2, 0)
    assert known.compute_withheld(0.5).answers == {"billing": 0.8}, "up to the highest confidence"


@pytest.mark.parametrize(
    ("piece", "skipped"),
    [
        (Observation(1, 0.7, START, answer="billing"), True),
        (Observation(1, 0.8, START, answer="billing"), True),
        (Observation(1, 0.81, START, answer="billing"), False),
        (Observation(1, 0.7, START, answer="shipping"), False),
        (Observation(1, 0.7, START, answer="billing", head="other"), False),
        (Observation(1, 1.0, START, answer="billing", head="often"), True),
        (Observation(1, 1.0, START, answer="shipping", groups=("tenant=a",)), True),
        (Observation(1, 1.0, START, answer="shipping", groups=("tenant=b",)), False),
    ],
)
def test_verdicts_on_what_is_withheld_are_no_evidence_of_what_is_served(piece: Observation, skipped: bool) -> None:
    known = new()
    known.withheld = Withheld(answers={"billing": 0.8}, inputs=("often",), groups=("tenant=a",))
    assert known.is_withheld(piece) == skipped


def test_a_class_that_a_predecessor_failed_is_withheld_until_it_is_learned() -> None:
    known = new({"refund": {"billing": Confusion(0.7, 1)}})
    assert known.compute_withheld(0.5).answers == {"billing": 0.7}
    assert known.failing_classes(0.5) == {"refund": {"billing": Confusion(0.7, 1)}}
    say(known, 4, 1, answer="refund")
    assert known.compute_withheld(0.5).answers == {"billing": 0.7}
    known.add(Input("a fifth"), Observation(1, 0.6, at(0), answer_class="refund", answer="refund"))
    assert known.compute_withheld(0.5).answers == {}
    assert known.failing_classes(0.5) == {}


def test_a_successor_takes_over_what_it_fails_itself_and_what_it_was_given() -> None:
    known = say(new({"chargeback": {"shipping": Confusion(0.7, 1)}}), 2, 0)
    found = {"chargeback": {"shipping": Confusion(0.7, 1)}, "refund": {"billing": Confusion(0.6, 2)}}
    assert known.failing_classes(0.5) == found
    saved = TypeAdapter(FailingClasses)
    assert saved.validate_json(saved.dump_json(known.failing_classes(0.5))) == found


@pytest.mark.parametrize(
    ("scores", "withheld"),
    [
        ((0, 0), False),
        ((0, 0, 0), True),
        ((1, 0, 0, 0), False),
        ((1, 0, 1, 0, 0), False),
        ((0, 0, 1, 0, 0), True),
        ((0, 0, 0, 0, 0, 1, 1, 1), False),
        ((1,) * 40 + (0,) * 4, True),
    ],
)
def test_an_answer_that_was_wrong_of_late_is_withheld_whatever_it_was_before(
    scores: tuple[float, ...], withheld: bool
) -> None:
    known = new()
    for number, score in enumerate(scores):
        # Each time of another class, so that none of them fails.
        piece = Observation(score, 0.6, at(0), answer_class=f"class {number}", answer="billing")
        known.add(Input(str(number)), piece, 0.5)
    assert known.compute_withheld(0.5).answers == ({"billing": ALWAYS} if withheld else {})


def test_what_is_not_served_says_nothing_of_an_answer_of_late() -> None:
    known = new()
    for number in range(5):
        piece = Observation(0, 0.6, at(0), answer_class=f"class {number}", answer="billing")
        known.add(Input(str(number)), piece, 0.9)
        known.add(Input(f"{number} on trial"), replace(piece, answer_class=f"another {number}"))
    assert known.compute_withheld(0.5).answers == {}


def test_state_round_trips_and_goes_on() -> None:
    known = say(
        say(new({"chargeback": {"shipping": Confusion(0.7, 1)}}, training_counts={"refund": 3}), 2, 0),
        3,
        0,
        head="often",
    )
    say(known, 5, 0, groups=("tenant=a",))
    known.withheld = known.compute_withheld(0.5)
    restored = Withholding.from_state(json.loads(json.dumps(known.state())))
    restored.attach(reach())
    assert restored.state() == known.state()
    for one in (known, restored):
        say(one, 3, 0, kind="other", answer="shipping")
        say(one, 2, 0)
    assert restored.compute_withheld(0.5) == known.compute_withheld(0.5)
    assert restored.state() == known.state()


TRAINED = {"billing": 50, "shipping": 50}


def test_an_answer_that_the_teacher_calls_by_a_new_name_is_withheld_before_it_is_served_wrong() -> None:
    # Nearly all that is answered `shipping` is no surer than .6: below the threshold, as sure as ever.
    known = say(new(training_counts=TRAINED), 1, 0, kind="delivery", answer="shipping")
    assert known.compute_withheld(0.9).answers == {}, "one verdict may be a slip"
    say(known, 2, 0, kind="delivery", answer="shipping")
    assert known.compute_withheld(0.9).answers == {"shipping": ALWAYS}
    restored = Withholding.from_state(json.loads(json.dumps(known.state())))
    restored.attach(reach())
    assert restored.compute_withheld(0.9).answers == {"shipping": ALWAYS}


def test_once_the_teacher_is_known_to_rename_one_verdict_reveals_the_next() -> None:
    known = say(new(training_counts=TRAINED), 2, 0, kind="delivery", answer="shipping")
    say(known, 1, 0, kind="invoice", answer="billing")
    assert known.compute_withheld(0.9).answers == {"billing": ALWAYS, "shipping": ALWAYS}


def test_a_new_kind_of_call_does_not_take_an_answer_away() -> None:
    unsure = say(new(training_counts=TRAINED), 3, 0, kind="delivery", answer="shipping", confidence=0.4)
    assert unsure.compute_withheld(0.9).answers == {}, "less sure than it usually is"
    spread = new(training_counts=TRAINED)
    for answer in ("billing", "returns", "account", "billing", "returns", "account"):
        say(spread, 1, 0, kind="delivery", answer=answer)
    assert spread.compute_withheld(0.9).answers == {}, "taken for one answer and another"
    assert say(new(), 3, 0, kind="delivery", answer="shipping").compute_withheld(0.9).answers == {}, "unknown training"
