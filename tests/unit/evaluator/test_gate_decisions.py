"""What decisions tell of a student: numbers, and a reason that claims no more than is held."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.datasets import START, TASK

from understudies.datasets.inputs import Input
from understudies.evaluator.change_monitor import CanaryRestriction
from understudies.evaluator.evidence.expected_coverage import ExpectedCoverage
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.evaluator.gate_decisions import decision_evidence, decision_reason, describe_teacher_noise
from understudies.evaluator.settings import EvaluatorSettings
from understudies.evaluator.trial import Trial
from understudies.evaluator.trial_result import UNREACHABLE_THRESHOLD, TrialResult
from understudies.events import Promotion, Withheld
from understudies.judges.registry import parse_judge
from understudies.stats.coverage import Threshold

CANDIDATES = [Threshold(0.9, 0.5), Threshold(0.1, 1.0)]


def story(stage: Any = "trained", **changes: Any) -> Promotion:
    return Promotion(id=stage, at=START, task=TASK, student=f"{TASK}@1", stage=stage, **changes)


def new(repeats: tuple[int, int] = (0, 0)) -> Trial:
    reach = ExpectedCoverage([0.9, 0.1])
    reach.add_tail_call(0.95, "answer", 90)
    reach.add_head_call("often", 1.0, 10)
    return Trial(
        story(),
        judge=parse_judge("label"),
        candidates=CANDIDATES,
        used_inputs=UsedInputs(),
        p0=0.95,
        settings=EvaluatorSettings(),
        expected_coverage=reach,
        repeats=repeats,
    )


def judged(trial: Trial, n: int, failures: int = 0, repeats: int = 0) -> Trial:
    """So many verdicts on distinct inputs, and repeats of one of them, over two days; and the look after them."""
    for number in range(n):
        at = START + timedelta(hours=1 + 46 * number / n)
        trial.add(Input(str(number)), Observation(float(number >= failures), 0.95, at, "kind", answer="answer"))
    for number in range(repeats):
        at = START + timedelta(hours=1 + 46 * number / repeats)
        trial.add(Input(str(n - 1)), Observation(1.0, 0.95, at, "kind", answer="answer"))
    trial.look(START + timedelta(days=3))
    return trial


def test_a_promotion_tells_how_much_of_both_kinds_of_evidence_it_has() -> None:
    assert decision_reason(judged(new(), 200, repeats=50), TrialResult("promote", 0.1, coverage=0.9)) == (
        "agrees at least 95% on the surest 100% of calls,"
        " after 200 verdicts on distinct inputs and 250 verdicts on calls since"
    )


def test_a_promotion_of_the_head_alone_says_so() -> None:
    reason = decision_reason(judged(new(), 20), TrialResult("promote", UNREACHABLE_THRESHOLD, 1.0, coverage=0.1))
    assert reason.startswith("answers 10% of the calls, inputs that come often and are proven, after 20 verdicts")


def test_before_it_serves_a_promotion_tells_no_more_than_is_promised() -> None:
    trial, found = judged(new(), 500), TrialResult("promote", 0.1, levels=((0.99, 0.1),))
    assert decision_reason(trial, found).startswith("agrees at least 95% on")
    trial.on_promoted(story("promoted", threshold=0.1))
    assert decision_reason(trial, found).startswith(
        "agrees at least 99.0% from confidence 0.100 on, after 500 verdicts"
    )
    assert decision_reason(trial, TrialResult("promote", 0.1, levels=((0.95, 0.1),))).startswith(
        "agrees at least 95% on"
    )


def test_a_promotion_names_what_is_withheld() -> None:
    withheld = Withheld(answers={"a": 1.0, "b": 0.7}, inputs=("often",), groups=("tenant=acme", "day=weekend"))
    reason = decision_reason(judged(new(), 200), TrialResult("promote", 0.1, withheld=withheld))
    assert reason.endswith("; withheld: 2 answers, 1 input, tenant=acme, day=weekend")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("traffic", "it is confident on a different share of calls than was proven"),
        ("teacher", "another model answers as the teacher"),
        ("calendar", "it has not been judged on this kind of day yet"),
    ],
)
def test_a_student_that_is_held_is_told_why(cause: Any, told: str) -> None:
    trial = judged(new(), 200)
    trial.on_promoted(story("promoted", threshold=0.1))
    trial.changes.restriction = CanaryRestriction(cause, START)
    assert decision_reason(trial, TrialResult("promote", 0.1, held=cause)).endswith(
        f"; held at the canary share: {told}"
    )


def test_a_rejection_tells_the_evidence_that_speaks_against_it() -> None:
    by_inputs = decision_reason(judged(new(), 40, 20), TrialResult("reject"))
    assert by_inputs.endswith("even where it is surest: agreement on the surest 50% is 50.0% of 40 verdicts")
    # Distinct inputs agree; one that comes often does not.
    trial = new()
    for number in range(60):
        trial.add(Input("often wrong"), Observation(0, 0.95, START + timedelta(hours=1 + number / 2)))
        trial.add(Input(str(number)), Observation(1, 0.95, START + timedelta(hours=1 + number / 2)))
    found = trial.look(START + timedelta(days=3))
    assert found == TrialResult("reject")
    assert decision_reason(trial, TrialResult("reject")).endswith(
        "agreement on the surest 50% is 50.0% of 120 verdicts"
    )


def test_a_student_of_which_all_is_withheld_is_rejected_for_that() -> None:
    trial = judged(new(), 3, 3)
    trial.announced = TrialResult("promote", 0.1)
    reason = decision_reason(trial, TrialResult("reject", withheld=Withheld(answers={"answer": 1.0})))
    assert reason == "all that it could serve is withheld, as it is too often wrong on: kind"


def test_nothing_proven_says_that_the_teacher_disagrees_with_itself() -> None:
    reason = decision_reason(judged(new((400, 368)), 60), TrialResult("inconclusive"))
    assert reason.startswith(
        "nothing proven after 60 verdicts, a better student is needed: agreement on the surest 50%"
    )
    assert reason.endswith(
        "; the teacher disagrees with itself on " + describe_teacher_noise(400, 368).partition(" itself on ")[2]
    )


@pytest.mark.parametrize(("answers", "alike"), [(0, 0), (29, 1), (500, 500)])
def test_few_repeats_and_equal_ones_are_no_news(answers: int, alike: int) -> None:
    assert describe_teacher_noise(answers, alike) == ""


def test_without_verdicts_agreement_is_unknown() -> None:
    assert "agreement on the surest 50% is unknown of 0 verdicts" in decision_reason(new(), TrialResult("inconclusive"))


def test_the_evidence_tells_both_gates_the_head_and_what_is_withheld() -> None:
    trial = judged(new((40, 39)), 100, 2, repeats=30)
    found = TrialResult("promote", 0.1, 1.0, Withheld(answers={"answer": 0.7}), 0.9, held="teacher")
    evidence: dict[str, Any] = decision_evidence(trial, found)
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
    assert (trial.selective_gate.passed_flags, trial.call_gate.tail_gate.passed_flags) == ([False, False], [True, True])
    assert [point["passed"] for point in decision_evidence(trial)["curve"]] == [False, False]
