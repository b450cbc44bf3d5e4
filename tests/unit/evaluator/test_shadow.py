import math

import pytest
from tests.support.chat_messages import user_request
from tests.support.trials import ScriptedStudent, failing_on

from understudies.datasets.errors import ArtifactError
from understudies.evaluator.shadow import ask_student
from understudies.runtime.errors import RetryLater


def say(text: str) -> tuple[str, float]:
    return text.upper(), 0.5


async def test_every_request_gets_its_answer_in_one_batch() -> None:
    student = ScriptedStudent(say)
    answers = await ask_student(student, [user_request("a"), user_request("b")])
    assert [answer and answer.text for answer in answers] == ["A", "B"]
    assert student.batches == [2]


async def test_a_request_that_fails_costs_the_others_nothing() -> None:
    student = ScriptedStudent(failing_on("b", "d", rule=say))
    answers = await ask_student(student, [user_request(text) for text in "abcd"])
    assert [answer and answer.text for answer in answers] == ["A", None, "C", None]


async def test_an_answer_that_the_router_would_refuse_is_none() -> None:
    """The teacher's answer is recorded with the same placeholder: the two agree, and the student's is never served."""

    def answer(text: str) -> tuple[str, float]:
        return {"empty": "", "whom": "Write to [EMAIL]."}.get(text, "ok"), 0.9

    answers = await ask_student(ScriptedStudent(answer), [user_request(text) for text in ("empty", "whom", "fine")])
    assert [one and one.text for one in answers] == [None, None, "ok"]


async def test_an_answer_with_a_confidence_that_is_none_is_none() -> None:
    """The router takes it for a failure of the student."""
    confidences = {"nan": math.nan, "above": 1.5, "below": -0.1}
    student = ScriptedStudent(lambda text: ("ok", confidences.get(text, 1.0)))
    answers = await ask_student(student, [user_request(text) for text in (*confidences, "fine")])
    assert [one and one.text for one in answers] == [None, None, None, "ok"]


@pytest.mark.parametrize("error", [RuntimeError("it says what was asked: b"), ValueError(), KeyError("b")])
async def test_a_request_on_which_a_student_breaks_costs_the_others_nothing(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def breaking(text: str) -> tuple[str, float]:
        if text == "b":
            raise error
        return say(text)

    answers = await ask_student(ScriptedStudent(breaking), [user_request(text) for text in "abc"])
    assert [answer and answer.text for answer in answers] == ["A", None, "C"]
    assert caplog.messages == [f"student gave no answer in shadow: {type(error).__name__}"]


@pytest.mark.parametrize("error", [RetryLater("away"), ArtifactError("gone")])
async def test_a_student_whose_files_are_away_is_no_failure_of_a_request(error: Exception) -> None:
    def away(text: str) -> tuple[str, float]:
        raise error

    with pytest.raises(type(error)):
        await ask_student(ScriptedStudent(away), [user_request("a"), user_request("b")])


async def test_nothing_asked_is_nothing_answered() -> None:
    assert await ask_student(ScriptedStudent(), []) == []
