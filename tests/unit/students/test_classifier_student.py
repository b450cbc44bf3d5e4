import json

import pytest
from tests.support.datasets import intents
from tests.support.messages import asked, called, said

from understudies.events import Message
from understudies.judges import choose_judge, judge_named
from understudies.students import ArtifactError, Dataset
from understudies.students.answer_key import class_key
from understudies.students.classifier_student import (
    ClassifierStudent,
    NotClosedError,
    classified_text,
    closed_answers,
)


def fitted(data: Dataset, seed: int = 1) -> ClassifierStudent:
    return ClassifierStudent.fit(data.of("train"), data.of("validation"), seed=seed)


async def test_it_answers_with_the_label() -> None:
    [answer] = await fitted(intents(150)).answer([asked("i want a refund of my purchase")])
    assert answer.text == "refund"
    assert 0 < answer.confidence <= 1


async def test_it_answers_with_whole_json() -> None:
    data = intents(150, lambda intent, n: said(f'{{"intent": "{intent}",{" " * (n % 2)}"sure": true}}'))
    [answer] = await fitted(data).answer([asked("please set another pin")])
    assert json.loads(answer.text) == {"intent": "change pin", "sure": True}


async def test_it_answers_with_tool_calls() -> None:
    data = intents(150, lambda intent, n: called((intent.replace(" ", "_"), '{"n":1}' if n % 3 else '{"n": 1}')))
    [answer] = await fitted(data).answer([asked("when does the card arrive, letter")])
    assert answer.message.tool_calls is not None
    assert [call.function.name for call in answer.message.tool_calls] == ["card_arrival"]
    assert answer.message.tool_calls[0].id == "call_0"


async def test_many_requests_are_answered_in_order() -> None:
    student = fitted(intents(150))
    wanted = intents(30)
    answers = await student.answer([example.request for example in wanted.examples])
    right = [a.text == e.answer.text for a, e in zip(answers, wanted.examples, strict=True)]
    assert sum(right) >= 28
    assert await student.answer([]) == []


async def test_it_is_kept_in_files_and_the_same_seed_makes_the_same_files() -> None:
    student = fitted(intents(90))
    again = ClassifierStudent.from_files(student.to_files())
    requests = [example.request for example in intents(9).examples]
    assert await again.answer(requests) == await student.answer(requests)
    assert fitted(intents(90)).to_files() == student.to_files()


def test_damaged_answers_are_refused() -> None:
    files = fitted(intents(60)).to_files()
    for damaged in ({}, {**files, "answers.json": b"[]"}, {**files, "answers.json": b"{"}):
        with pytest.raises(ArtifactError):
            ClassifierStudent.from_files(damaged)


def test_answers_seen_once_are_left_out_and_the_commonest_form_is_given() -> None:
    answers = [said("Yes"), said("yes."), said("yes."), said("no"), said("no"), said("who knows")]
    assert {key: m.text for key, m in closed_answers(answers).items()} == {"label:yes": "yes.", "label:no": "no"}


async def test_it_answers_with_a_label_and_an_explanation() -> None:
    data = intents(150, lambda intent, n: said(f"{intent} - because the customer asks for it in message {n}"))
    judge = choose_judge([example.answer for example in data.of("train")])
    with pytest.raises(NotClosedError):
        fitted(data)
    student = ClassifierStudent.fit(data.of("train"), data.of("validation"), seed=1, judge=judge)
    [answer] = await student.answer([asked("i want a refund of my purchase")])
    assert judge.judge(said("Refund - it is wanted back"), answer.message).agreed


def test_of_forms_as_frequent_the_shortest_is_given() -> None:
    answers = [said("no - as it is not so"), said("no - it is not"), said("yes - it is"), said("yes - it is so")]
    found = closed_answers(answers, judge_named("label[before:dash]"))
    assert {key: m.text for key, m in found.items()} == {"label:no": "no - it is not", "label:yes": "yes - it is"}


def test_open_answers_are_no_closed_set() -> None:
    with pytest.raises(NotClosedError, match="cover 2 of 12 calls"):
        closed_answers([said("a"), said("a"), *(said(f"answer {n}") for n in range(10))])
    with pytest.raises(NotClosedError, match="501 different answers"):
        closed_answers([said(f"answer {n}") for n in range(501)] * 2)
    with pytest.raises(NotClosedError):
        closed_answers([])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (said('{"a": 1, "b": 2}'), said('```json\n{"b":2,"a":1.0}\n```'), True),
        (said("Refund."), said("refund"), True),
        (said("1"), said("-1"), False),
        (called(("f", "")), called(("f", "{}")), True),
        (called(("f", "{}")), called(("g", "{}")), False),
        (called(("f", "{}"), ("g", "{}")), called(("g", "{}"), ("f", "{}")), False),
        (said("f"), called(("f", "{}")), False),
    ],
)
def test_a_class_is_what_an_answer_says(one: Message, other: Message, same: bool) -> None:
    assert (class_key(one) == class_key(other)) is same


def test_a_class_is_what_an_answer_says_to_the_judge() -> None:
    assert class_key(said("no - x"), judge_named("label[before:dash]")) == class_key(said("No"))
    assert class_key(said("kB"), judge_named("label[cased]")) != class_key(said("KB"), judge_named("label[cased]"))
    mixed = judge_named("json[mixed:n]")
    assert class_key(said('{"n": "1"}'), mixed) == class_key(said('{"n": 1}'), mixed)
    tools = judge_named("tool_calls[mixed:f.n]")
    assert class_key(called(("f", '{"n": "1"}')), tools) == class_key(called(("f", '{"n": 1}')), tools)
    assert class_key(called(("f", '{"n": "1"}'))) != class_key(called(("f", '{"n": 1}')))


def test_a_request_of_a_system_prompt_alone_has_its_text() -> None:
    request = asked("", system="Classify: hello")
    assert classified_text(request) == "Classify: hello"
    assert classified_text(asked("hi", system="Classify")) == "hi"
