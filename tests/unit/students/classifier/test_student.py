import gc
import json

import pytest
from tests.support.chat_messages import assistant_message, tool_call_message, user_request
from tests.support.datasets import intents

from understudies.datasets.dataset import Dataset
from understudies.datasets.errors import ArtifactError
from understudies.events import Message
from understudies.judges.answer_key import canonical_answer
from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge
from understudies.students.base import classifier_text
from understudies.students.classifier import archive
from understudies.students.classifier.model import _in_use
from understudies.students.classifier.student import ClassifierStudent, NotClosedSetError, closed_answer_set


def fitted(data: Dataset, seed: int = 1) -> ClassifierStudent:
    return ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=seed)


async def test_it_answers_with_the_label() -> None:
    [answer] = await fitted(intents(150)).answer([user_request("i want a refund of my purchase")])
    assert answer.text == "refund"
    assert 0 < answer.confidence <= 1


async def test_it_answers_with_whole_json() -> None:
    data = intents(150, lambda intent, n: assistant_message(f'{{"intent": "{intent}",{" " * (n % 2)}"sure": true}}'))
    [answer] = await fitted(data).answer([user_request("please set another pin")])
    assert json.loads(answer.text) == {"intent": "change pin", "sure": True}


async def test_it_answers_with_tool_calls() -> None:
    data = intents(
        150, lambda intent, n: tool_call_message((intent.replace(" ", "_"), '{"n":1}' if n % 3 else '{"n": 1}'))
    )
    [answer] = await fitted(data).answer([user_request("when does the card arrive, letter")])
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
    answers = [
        assistant_message("Yes"),
        assistant_message("yes."),
        assistant_message("yes."),
        assistant_message("no"),
        assistant_message("no"),
        assistant_message("who knows"),
    ]
    assert {key: m.text for key, m in closed_answer_set(answers).items()} == {"label:yes": "yes.", "label:no": "no"}


async def test_it_answers_with_a_label_and_an_explanation() -> None:
    data = intents(
        150, lambda intent, n: assistant_message(f"{intent} - because the customer asks for it in message {n}")
    )
    judge = choose_judge([example.answer for example in data.in_split("train")])
    with pytest.raises(NotClosedSetError):
        fitted(data)
    student = ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=1, judge=judge)
    [answer] = await student.answer([user_request("i want a refund of my purchase")])
    assert judge.judge(assistant_message("Refund - it is wanted back"), answer.message).agreed


def test_of_forms_as_frequent_the_shortest_is_given() -> None:
    answers = [
        assistant_message("no - as it is not so"),
        assistant_message("no - it is not"),
        assistant_message("yes - it is"),
        assistant_message("yes - it is so"),
    ]
    found = closed_answer_set(answers, parse_judge("label[before:dash]"))
    assert {key: m.text for key, m in found.items()} == {"label:no": "no - it is not", "label:yes": "yes - it is"}


def test_open_answers_are_no_closed_set() -> None:
    with pytest.raises(NotClosedSetError, match="cover 2 of 12 calls"):
        closed_answer_set(
            [assistant_message("a"), assistant_message("a"), *(assistant_message(f"answer {n}") for n in range(10))]
        )
    with pytest.raises(NotClosedSetError, match="501 different answers"):
        closed_answer_set([assistant_message(f"answer {n}") for n in range(501)] * 2)
    with pytest.raises(NotClosedSetError):
        closed_answer_set([])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (assistant_message('{"a": 1, "b": 2}'), assistant_message('```json\n{"b":2,"a":1.0}\n```'), True),
        (assistant_message("Refund."), assistant_message("refund"), True),
        (assistant_message("1"), assistant_message("-1"), False),
        (tool_call_message(("f", "")), tool_call_message(("f", "{}")), True),
        (tool_call_message(("f", "{}")), tool_call_message(("g", "{}")), False),
        (tool_call_message(("f", "{}"), ("g", "{}")), tool_call_message(("g", "{}"), ("f", "{}")), False),
        (assistant_message("f"), tool_call_message(("f", "{}")), False),
    ],
)
def test_a_class_is_what_an_answer_says(one: Message, other: Message, same: bool) -> None:
    assert (canonical_answer(one) == canonical_answer(other)) is same


def test_a_class_is_what_an_answer_says_to_the_judge() -> None:
    assert canonical_answer(assistant_message("no - x"), parse_judge("label[before:dash]")) == canonical_answer(
        assistant_message("No")
    )
    assert canonical_answer(assistant_message("kB"), parse_judge("label[cased]")) != canonical_answer(
        assistant_message("KB"), parse_judge("label[cased]")
    )
    mixed = parse_judge("json[mixed:n]")
    assert canonical_answer(assistant_message('{"n": "1"}'), mixed) == canonical_answer(
        assistant_message('{"n": 1}'), mixed
    )
    tools = parse_judge("tool_calls[mixed:f.n]")
    assert canonical_answer(tool_call_message(("f", '{"n": "1"}')), tools) == canonical_answer(
        tool_call_message(("f", '{"n": 1}')), tools
    )
    assert canonical_answer(tool_call_message(("f", '{"n": "1"}'))) != canonical_answer(
        tool_call_message(("f", '{"n": 1}'))
    )


def test_a_request_of_a_system_prompt_alone_has_its_text() -> None:
    request = user_request("", system="Classify: hello")
    assert classifier_text(request) == "Classify: hello"
    assert classifier_text(user_request("hi", system="Classify")) == "hi"


async def test_what_was_prepared_is_answered_alike() -> None:
    encoder = pytest.importorskip("understudies.students.encoder.runtime")
    if not encoder.is_encoder_installed():
        pytest.skip("the encoder is not installed")
    data = intents(90)
    student = ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=1, encoder=True)
    requests = [user_request(f"where has my card gone in week {number}, and why?") for number in range(40)]
    alone = [(await student.answer([request]))[0] for request in requests[:20]]
    await student.prepare([*requests, *requests])
    together = [(await student.answer([request]))[0] for request in requests[:20]]
    assert [one.message for one in together] == [one.message for one in alone]
    assert [one.confidence for one in together] == pytest.approx([one.confidence for one in alone], abs=1e-5)
    assert [one.confidence for one in together] == [one.confidence for one in await student.answer(requests[:20])]


async def test_only_the_texts_prepared_last_are_kept() -> None:
    data = intents(90)
    student = ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=1)
    first, second = user_request("where has my card gone?"), user_request("why was I charged twice?")
    await student.prepare([first])
    await student.prepare([second])
    assert list(student._prepared) == [student.extractor(second)]
    assert [one.message for one in await student.answer([first, second])] == [
        (await student.answer([one]))[0].message for one in (first, second)
    ]


def test_models_read_from_the_same_files_are_one_while_in_use() -> None:
    data = intents(90)
    files = ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=1).to_files()
    tried, served = ClassifierStudent.from_files(files), ClassifierStudent.from_files(dict(files))
    other = ClassifierStudent.fit(data.in_split("train"), data.in_split("validation"), seed=2).to_files()
    assert served._model is tried._model
    assert ClassifierStudent.from_files(other)._model is not tried._model
    digest = archive.digest({name.removeprefix("model/"): content for name, content in files.items()})
    assert digest in _in_use
    del tried, served
    gc.collect()
    assert digest not in _in_use
