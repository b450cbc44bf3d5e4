import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.datasets import example

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.judges.registry import parse_judge
from understudies.students.exact_match import ExactMatchStudent

SYSTEM = "Name the intent."


def fitted(*examples: Example) -> ExactMatchStudent:
    return ExactMatchStudent.fit(examples, parse_judge("label"))


async def test_a_repeat_gets_the_teachers_answer() -> None:
    student = fitted(example("where is it", assistant_message("card arrival")))
    [answer] = await student.answer([user_request("where  is it", system=SYSTEM)])
    assert answer.text == "card arrival"
    assert answer.confidence == 0.5


async def test_an_unknown_request_gets_nothing_of_no_confidence() -> None:
    student = fitted(example("where is it", assistant_message("card arrival")))
    [answer] = await student.answer([user_request("who is it", system=SYSTEM)])
    assert (answer.text, answer.confidence) == ("", 0.0)


def test_repeats_that_agreed_raise_the_confidence() -> None:
    student = fitted(*(example("hello", assistant_message(answer), n) for n, answer in enumerate(["Hi", "hi.", "hi"])))
    assert student.lookup(user_request("hello", system=SYSTEM)).confidence == pytest.approx(3 / 4)


def test_an_input_answered_differently_is_not_remembered() -> None:
    student = fitted(
        example("a", assistant_message("x"), 0),
        example("a", assistant_message("y"), 1),
        example("b", assistant_message("z"), 2),
    )
    assert len(student) == 1
    assert student.lookup(user_request("a", system=SYSTEM)).confidence == 0
    assert student.lookup(user_request("b", system=SYSTEM)).confidence == pytest.approx(1 / 3)


def test_sampled_answers_are_neither_learned_nor_given() -> None:
    student = fitted(example("a", assistant_message("x"), temperature=0.7), example("b", assistant_message("y")))
    assert len(student) == 1
    assert student.lookup(user_request("b", system=SYSTEM, temperature=0.7)).confidence == 0


def test_without_a_given_temperature_it_takes_two_alike() -> None:
    assert len(fitted(example("a", assistant_message("x"), temperature=None))) == 0
    assert len(fitted(*(example("a", assistant_message("x"), n, temperature=None) for n in range(2)))) == 1


def test_other_parameters_make_another_request() -> None:
    student = fitted(example("a", assistant_message("x")))
    request = user_request("a", system=SYSTEM)
    assert student.lookup(request.model_copy(update={"parameters": {"max_tokens": 1}})).confidence == 0
    assert student.lookup(request.model_copy(update={"tool_choice": "none"})).confidence == 0


def test_it_is_kept_in_files() -> None:
    student = fitted(example("a", assistant_message("é")))
    again = ExactMatchStudent.from_files(student.to_files())
    assert again.lookup(user_request("a", system=SYSTEM)) == student.lookup(user_request("a", system=SYSTEM))
    assert again.to_files() == student.to_files()


@pytest.mark.parametrize("content", [{}, {"answers.json": b"{"}, {"answers.json": b"[]"}, {"answers.json": b"{}"}])
def test_damaged_files_are_refused(content: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactError, match="are invalid"):
        ExactMatchStudent.from_files(content)
