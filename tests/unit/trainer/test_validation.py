from collections.abc import Sequence
from decimal import Decimal

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.datasets import example

from understudies.events import Request, Usage
from understudies.judges.backends import BACKENDS
from understudies.judges.materials import JudgeUnavailableError
from understudies.judges.registry import parse_judge
from understudies.students.base import Answer, StudentError, text_answer
from understudies.trainer.validation import NoVerdicts, Validation, ValidationCall, held_out_examples, judge_student


def validation(*runs: tuple[float, int, int]) -> Validation:
    """(confidence, agreed, disagreed) runs of calls."""
    judged = [
        ValidationCall(confidence, right)
        for confidence, agreed, disagreed in runs
        for right in [True] * agreed + [False] * disagreed
    ]
    return Validation(tuple(judged), 0.95)


def test_coverage_is_what_could_be_served_at_p0() -> None:
    found = validation((0.9, 40, 0), (0.5, 39, 1), (0.1, 0, 20))
    assert found.expected_coverage == pytest.approx(0.8)
    assert found.agreement == pytest.approx(0.79)


def test_no_answer_is_never_served() -> None:
    found = validation((0.9, 30, 0), (0.0, 0, 70))
    assert found.expected_coverage == pytest.approx(0.3)
    assert not found.is_hopeless(0.05, 20)
    assert validation((0.0, 0, 100)).is_hopeless(0.05, 20)
    assert validation((0.0, 0, 100)).expected_coverage == 0


def test_only_evidence_makes_hopeless() -> None:
    assert validation((0.9, 2, 98)).is_hopeless(0.05, 20)
    assert not validation((0.9, 0, 19)).is_hopeless(0.05, 20)
    assert not validation().is_hopeless(0.05, 20)
    assert not validation((0.9, 18, 2)).is_hopeless(0.05, 20)
    assert validation((0.9, 14, 6)).is_hopeless(0.05, 20)


def test_one_good_tenth_leaves_hope() -> None:
    assert not validation((0.9, 20, 0), (0.5, 0, 180)).is_hopeless(0.05, 20)


def test_the_surest_include_their_ties() -> None:
    found = validation((0.9, 20, 5), (0.5, 10, 65))
    assert found.surest(0.1, 20) == (20, 25)
    assert found.surest(1.0, 20) == (30, 100)
    assert found.surest(0.1, 500) == (30, 100)


def test_the_summary_is_a_curve() -> None:
    summary = validation((0.9, 50, 0), (0.5, 25, 25)).summary()
    assert summary == {
        "n": 100,
        "agreement": 0.75,
        "expected_coverage": 0.5,
        "risk_coverage": [
            {"confidence": 0.9, "coverage": 0.5, "agreement": 1.0},
            {"confidence": 0.5, "coverage": 1.0, "agreement": 0.75},
        ],
    }
    assert validation().summary()["risk_coverage"] == []


def test_the_mean_cost_of_a_call_is_shown_where_it_is_known() -> None:
    judged = (
        ValidationCall(0.9, True, Decimal("0.0002")),
        ValidationCall(0.8, True, Decimal("0.0001")),
        ValidationCall(0.0, False),
    )
    assert Validation(judged, 0.95).summary()["cost_per_call_usd"] == "0.000150000"
    assert "cost_per_call_usd" not in validation((0.9, 50, 0)).summary()


class Fussy:
    """Answers nothing in a batch with a bad request, and nothing at all where all are bad."""

    kind = "fussy"

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        if any("bad" in request.messages[-1].text for request in requests):
            raise StudentError("no")
        return [text_answer("x", 0.7) for _ in requests]


def test_a_call_without_an_answer_is_a_disagreement() -> None:
    examples = [example(text, assistant_message("x")) for text in ("good", "bad", "good too")]
    judged = judge_student(Fussy(), examples, parse_judge("exact"))
    assert judged == (ValidationCall(0.7, True), ValidationCall(0.0, False), ValidationCall(0.7, True))


class Held(Fussy):
    """Has a price, and connections that somebody must close."""

    closed = False

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [text_answer("x", 0.7, Usage(prompt_tokens=1000, completion_tokens=10)) for _ in requests]

    def cost(self, usage: Usage) -> Decimal:
        return Decimal(usage.prompt_tokens) / 1_000_000

    async def close(self) -> None:
        self.closed = True


def test_what_a_student_holds_is_closed_and_what_it_costs_is_kept() -> None:
    student = Held()
    judged = judge_student(student, [example("good", assistant_message("x"))], parse_judge("exact"))
    assert student.closed
    assert judged == (ValidationCall(0.7, True, Decimal("0.001")),)


def test_a_student_that_never_answers_is_an_error() -> None:
    with pytest.raises(StudentError):
        judge_student(Fussy(), [example("bad", assistant_message("x"))], parse_judge("exact"))


def test_biased_and_repeated_examples_judge_nobody() -> None:
    first, again, other = (example(text, assistant_message("x"), n) for n, text in enumerate(["a", "a", "b"]))
    assert held_out_examples([first, again, other.model_copy(update={"unbiased": False})]) == [again]


class AnsweringEcho:
    kind = "echo"

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [text_answer(request.messages[-1].text, 0.9) for request in requests]


def test_a_few_answers_without_a_verdict_disagree_and_more_put_the_training_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def similarity(one: str, other: str) -> float:
        if other in away:
            raise JudgeUnavailableError("the model is away")
        return 1.0

    monkeypatch.setattr(BACKENDS, "similarity", similarity)
    examples = [example(f"call {number}", assistant_message("it is so")) for number in range(20)]
    away = {"call 3"}
    judged = judge_student(AnsweringEcho(), examples, parse_judge("semantic"))
    assert [call.agreed for call in judged] == [number != 3 for number in range(20)]
    away = {f"call {number}" for number in range(3)}
    with pytest.raises(NoVerdicts, match="no verdict on 3 of 20 answers: the model is away"):
        judge_student(AnsweringEcho(), examples, parse_judge("semantic"))
