"""What decisions tell of a student: numbers, and a reason that claims no more than is held."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.datasets import START, TASK

from understudies.evaluator import EvaluatorSettings
from understudies.evaluator.changes import Hold
from understudies.evaluator.finding import UNREACHED, Finding
from understudies.evaluator.inputs import Inputs
from understudies.evaluator.promise import evidence_of, noise_of, reason_of
from understudies.evaluator.reach import Reach
from understudies.evaluator.trial import Trial
from understudies.evaluator.waiting import Piece
from understudies.events import Promotion, Withheld
from understudies.judges import judge_named
from understudies.stats import Threshold
from understudies.students import Input

CANDIDATES = [Threshold(0.9, 0.5), Threshold(0.1, 1.0)]


def story(stage: Any = "trained", **changes: Any) -> Promotion:
    return Promotion(id=stage, at=START, task=TASK, student=f"{TASK}@1", stage=stage, **changes)


def new(repeats: tuple[int, int] = (0, 0)) -> Trial:
    reach = Reach([0.9, 0.1])
    reach.tail_call(0.95, "answer", 90)
    reach.head_call("often", 1.0, 10)
    return Trial(
        story(),
        judge=judge_named("label"),
        candidates=CANDIDATES,
        off_limits=Inputs(),
        p0=0.95,
        settings=EvaluatorSettings(),
        reach=reach,
        repeats=repeats,
    )


def judged(trial: Trial, n: int, failures: int = 0, repeats: int = 0) -> Trial:
    """So many verdicts on distinct inputs, and repeats of one of them, over two days; and the look after them."""
    for number in range(n):
        at = START + timedelta(hours=1 + 46 * number / n)
        trial.add(Input(str(number)), Piece(float(number >= failures), 0.95, at, "kind", answer="answer"))
    for number in range(repeats):
        at = START + timedelta(hours=1 + 46 * number / repeats)
        trial.add(Input(str(n - 1)), Piece(1.0, 0.95, at, "kind", answer="answer"))
    trial.look(START + timedelta(days=3))
    return trial


def test_a_promotion_tells_how_much_of_both_kinds_of_evidence_it_has() -> None:
    assert reason_of(judged(new(), 200, repeats=50), Finding("promote", 0.1, coverage=0.9)) == (
        "agrees at least 95% on the surest 100% of calls,"
        " after 200 verdicts on distinct inputs and 250 verdicts on calls since"
    )


def test_a_promotion_of_the_head_alone_says_so() -> None:
    reason = reason_of(judged(new(), 20), Finding("promote", UNREACHED, 1.0, coverage=0.1))
    assert reason.startswith("answers 10% of the calls, inputs that come often and are proven, after 20 verdicts")


def test_before_it_serves_a_promotion_tells_no_more_than_is_promised() -> None:
    trial, found = judged(new(), 500), Finding("promote", 0.1, levels=((0.99, 0.1),))
    assert reason_of(trial, found).startswith("agrees at least 95% on")
    trial.promoted(story("promoted", threshold=0.1))
    assert reason_of(trial, found).startswith("agrees at least 99.0% from confidence 0.100 on, after 500 verdicts")
    assert reason_of(trial, Finding("promote", 0.1, levels=((0.95, 0.1),))).startswith("agrees at least 95% on")


def test_a_promotion_names_what_is_withheld() -> None:
    withheld = Withheld(answers={"a": 1.0, "b": 0.7}, inputs=("often",), groups=("tenant=acme", "day=weekend"))
    reason = reason_of(judged(new(), 200), Finding("promote", 0.1, withheld=withheld))
    assert reason.endswith("; withheld: 2 answers, 1 inputs, tenant=acme, day=weekend")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("traffic", "it is sure of another share of the calls than it was proven on"),
        ("teacher", "another model answers as the teacher"),
        ("calendar", "it was not judged on such days yet"),
    ],
)
def test_a_student_that_is_held_is_told_why(cause: Any, told: str) -> None:
    trial = judged(new(), 200)
    trial.promoted(story("promoted", threshold=0.1))
    trial.changes.hold = Hold(cause, START)
    assert reason_of(trial, Finding("promote", 0.1, held=cause)).endswith(f"; held at the canary share: {told}")


def test_a_rejection_tells_the_evidence_that_speaks_against_it() -> None:
    by_inputs = reason_of(judged(new(), 40, 20), Finding("reject"))
    assert by_inputs.endswith("even where it is surest: agreement on the surest 50% is 50.0% of 40 verdicts")
    # Distinct inputs agree; one that comes often does not.
    trial = new()
    for number in range(60):
        trial.add(Input("often wrong"), Piece(0, 0.95, START + timedelta(hours=1 + number / 2)))
        trial.add(Input(str(number)), Piece(1, 0.95, START + timedelta(hours=1 + number / 2)))
    found = trial.look(START + timedelta(days=3))
    assert found == Finding("reject")
    assert reason_of(trial, Finding("reject")).endswith("agreement on the surest 50% is 50.0% of 120 verdicts")


def test_a_student_of_which_all_is_withheld_is_rejected_for_that() -> None:
    trial = judged(new(), 3, 3)
    trial.announced = Finding("promote", 0.1)
    reason = reason_of(trial, Finding("reject", withheld=Withheld(answers={"answer": 1.0})))
    assert reason == "all that it could serve is withheld, as it is too often wrong on: kind"


def test_nothing_proven_says_that_the_teacher_disagrees_with_itself() -> None:
    reason = reason_of(judged(new((400, 368)), 60), Finding("inconclusive"))
    assert reason.startswith(
        "nothing proven after 60 verdicts, a better student is needed: agreement on the surest 50%"
    )
    assert reason.endswith("; the teacher disagrees with itself on " + noise_of(400, 368).partition(" itself on ")[2])


@pytest.mark.parametrize(("answers", "alike"), [(0, 0), (29, 1), (500, 500)])
def test_few_repeats_and_equal_ones_are_no_news(answers: int, alike: int) -> None:
    assert noise_of(answers, alike) == ""


def test_without_verdicts_agreement_is_unknown() -> None:
    assert "agreement on the surest 50% is unknown of 0 verdicts" in reason_of(new(), Finding("inconclusive"))


def test_the_evidence_tells_both_gates_the_head_and_what_is_withheld() -> None:
    trial = judged(new((40, 39)), 100, 2, repeats=30)
    found = Finding("promote", 0.1, 1.0, Withheld(answers={"answer": 0.7}), 0.9, held="teacher")
    evidence: dict[str, Any] = evidence_of(trial, found)
    assert json.loads(json.dumps(evidence)) == evidence
    chosen = evidence["chosen"]
    assert (chosen["n"], chosen["agreement"]) == (100, 0.98)
    assert (chosen["forward_n"], chosen["forward_agreement"]) == (130, round(128 / 130, 4))
    assert evidence["forward"] == {
        "since": START.isoformat(),
        "calls": 130,
        "conversations": 130,
        "days": 2,
    }
    assert evidence["head"] == {"inputs": 1, "share": 0.1, "threshold": 1.0, "calls": 0, "agreement": None}
    assert evidence["withheld"]["answers"] == {"answer": 0.7}
    assert (evidence["repeats"], evidence["held"]) == ({"answers": 40, "alike": 39}, "teacher")


def test_a_threshold_has_passed_where_both_gates_say_so() -> None:
    trial = judged(new(), 60, repeats=200)
    assert (trial.gate.passing, trial.forward.tail.passing) == ([False, False], [True, True])
    assert [point["passed"] for point in evidence_of(trial)["curve"]] == [False, False]
