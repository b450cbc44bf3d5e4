import pytest
from tests.support.datasets import example
from tests.support.messages import asked, said

from understudies.judges import judge_named
from understudies.students import ArtifactError, Example
from understudies.students.cache import CacheStudent

SYSTEM = "Name the intent."


def fitted(*examples: Example) -> CacheStudent:
    return CacheStudent.fit(examples, judge_named("label"))


async def test_a_repeat_gets_the_teachers_answer() -> None:
    student = fitted(example("where is it", said("card arrival")))
    [answer] = await student.answer([asked("where  is it", system=SYSTEM)])
    assert answer.text == "card arrival"
    assert answer.confidence == 0.5


async def test_an_unknown_request_gets_nothing_of_no_confidence() -> None:
    student = fitted(example("where is it", said("card arrival")))
    [answer] = await student.answer([asked("who is it", system=SYSTEM)])
    assert (answer.text, answer.confidence) == ("", 0.0)


def test_repeats_that_agreed_raise_the_confidence() -> None:
    student = fitted(*(example("hello", said(answer), n) for n, answer in enumerate(["Hi", "hi.", "hi"])))
    assert student.answer_one(asked("hello", system=SYSTEM)).confidence == pytest.approx(3 / 4)


def test_an_input_answered_differently_is_not_remembered() -> None:
    student = fitted(example("a", said("x"), 0), example("a", said("y"), 1), example("b", said("z"), 2))
    assert len(student) == 1
    assert student.answer_one(asked("a", system=SYSTEM)).confidence == 0
    assert student.answer_one(asked("b", system=SYSTEM)).confidence == pytest.approx(1 / 3)


def test_sampled_answers_are_neither_learned_nor_given() -> None:
    student = fitted(example("a", said("x"), temperature=0.7), example("b", said("y")))
    assert len(student) == 1
    assert student.answer_one(asked("b", system=SYSTEM, temperature=0.7)).confidence == 0


def test_without_a_given_temperature_it_takes_two_alike() -> None:
    assert len(fitted(example("a", said("x"), temperature=None))) == 0
    assert len(fitted(*(example("a", said("x"), n, temperature=None) for n in range(2)))) == 1


def test_other_parameters_make_another_request() -> None:
    student = fitted(example("a", said("x")))
    request = asked("a", system=SYSTEM)
    assert student.answer_one(request.model_copy(update={"parameters": {"max_tokens": 1}})).confidence == 0
    assert student.answer_one(request.model_copy(update={"tool_choice": "none"})).confidence == 0


def test_it_is_kept_in_files() -> None:
    student = fitted(example("a", said("é")))
    again = CacheStudent.from_files(student.to_files())
    assert again.answer_one(asked("a", system=SYSTEM)) == student.answer_one(asked("a", system=SYSTEM))
    assert again.to_files() == student.to_files()


@pytest.mark.parametrize("content", [{}, {"answers.json": b"{"}, {"answers.json": b"[]"}, {"answers.json": b"{}"}])
def test_damaged_files_are_refused(content: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        CacheStudent.from_files(content)
