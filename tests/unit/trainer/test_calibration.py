"""A generating student is calibrated by its validation calls, and by how much that helped is known."""

import math
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.students.calibration import Check
from understudies.trainer.calibration import calibrate
from understudies.trainer.validation import Validation, ValidationCall


def played(n: int, seed: int = 1) -> list[ValidationCall]:
    """Long answers, improbable by their sums, of which most are right."""
    draw = random.Random(seed)
    sums = [-draw.gammavariate(3, 8) for _ in range(n)]
    return [ValidationCall(math.exp(s), draw.random() < 1 / (1 + math.exp(-(3.5 + 0.12 * s)))) for s in sums]


def errors(judged: list[ValidationCall]) -> dict[str, Any]:
    found: Any = calibrate(judged).metrics["calibration"]
    return dict(found)


def test_the_error_before_and_after_is_told() -> None:
    told = errors(played(400))
    assert told["n"] == 400
    assert told["error_before"] > 0.5
    assert told["error_after"] < 0.1


def test_the_error_after_is_of_calls_that_the_fit_has_not_seen() -> None:
    """Ten coin tosses can be remembered and not foretold."""
    draw = random.Random(5)
    tosses = [ValidationCall(0.3 + draw.random() / 2, draw.random() < 0.5) for _ in range(10)]
    assert errors(tosses)["error_after"] > 0.1


def test_the_calls_are_shown_as_the_calibrated_student_sees_them() -> None:
    judged = played(100)
    found = calibrate(judged)
    assert [one.agreed for one in found.validation_calls] == [one.agreed for one in judged]
    assert found.validation_calls[0].confidence == found.calibration(math.log(judged[0].confidence))


def test_a_call_that_was_not_answered_says_nothing_and_stays_so() -> None:
    judged = played(100)
    silent = [ValidationCall(0.0, False)] * 50
    found = calibrate([*silent, *judged])
    assert found.calibration == calibrate(judged).calibration
    assert list(found.validation_calls[:50]) == silent


def test_a_few_calls_calibrate_nothing() -> None:
    found = calibrate(played(9))
    assert found.calibration.is_identity
    assert list(found.validation_calls) == played(9)
    assert found.metrics == {}


@settings(deadline=None, max_examples=15)
@given(calls=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=10, max_size=60))
def test_it_changes_no_order_and_so_no_coverage(calls: list[tuple[float, bool]]) -> None:
    judged = tuple(ValidationCall(round(sure, 3), agreed) for sure, agreed in calls)
    found = calibrate(judged)
    order = sorted(range(len(judged)), key=lambda i: judged[i].confidence)
    seen = [found.validation_calls[i].confidence for i in order]
    assert seen == sorted(seen)
    before, after = Validation(judged, 0.8), Validation(found.validation_calls, 0.8)
    assert before.expected_coverage == after.expected_coverage


def test_a_verifier_counts_where_it_foretells_agreement() -> None:
    judged = played(300)
    draw = random.Random(9)
    knowing = [Check(one.agreed if draw.random() < 0.9 else not one.agreed, 0.9) for one in judged]
    tossing = [Check(draw.random() < 0.5, 0.5) for _ in judged]
    helped, unhelped, without = calibrate(judged, knowing), calibrate(judged, tossing), calibrate(judged)
    assert helped.calibration.needs_verifier
    told: Any = helped.metrics["verifier"]
    assert told["log_loss_after"] < told["log_loss_before"]
    assert told["confirmed_right"] > 0.9
    assert Validation(helped.validation_calls, 0.95).expected_coverage > (
        Validation(without.validation_calls, 0.95).expected_coverage + 0.1
    )
    told = unhelped.metrics["verifier"]
    assert unhelped.calibration.needs_verifier == (told["log_loss_after"] < told["log_loss_before"])


def test_an_answer_that_is_none_has_no_check() -> None:
    judged = [*played(50), ValidationCall(0.0, False)]
    result = calibrate(judged, [None] * 51)
    assert result.validation_calls[-1] == judged[-1]
    assert not result.calibration.needs_verifier
