from tests.support.chat_messages import user_request
from tests.support.trials import ScriptedStudent, failing_on

from understudies.evaluator.shadow import ask_student


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


async def test_nothing_asked_is_nothing_answered() -> None:
    assert await ask_student(ScriptedStudent(), []) == []
