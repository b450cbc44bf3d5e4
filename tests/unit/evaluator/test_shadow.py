from tests.support.messages import asked
from tests.support.trials import Scripted, failing_on

from understudies.evaluator.shadow import ask


def say(text: str) -> tuple[str, float]:
    return text.upper(), 0.5


async def test_every_request_gets_its_answer_in_one_batch() -> None:
    student = Scripted(say)
    answers = await ask(student, [asked("a"), asked("b")])
    assert [answer and answer.text for answer in answers] == ["A", "B"]
    assert student.batches == [2]


async def test_a_request_that_fails_costs_the_others_nothing() -> None:
    student = Scripted(failing_on("b", "d", rule=say))
    answers = await ask(student, [asked(text) for text in "abcd"])
    assert [answer and answer.text for answer in answers] == ["A", None, "C", None]


async def test_nothing_asked_is_nothing_answered() -> None:
    assert await ask(Scripted(), []) == []
