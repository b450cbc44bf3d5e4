"""Inputs that many calls have: what is remembered of them, and who answers the rest."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message, tool_call_message, user_request
from tests.support.contexts import examples_decided_by_record, record, request
from tests.support.datasets import START, example

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.datasets.system_template import SystemTemplate
from understudies.events import Message, Request, Usage
from understudies.judges.exact import ExactJudge
from understudies.judges.label import LabelJudge
from understudies.judges.registry import parse_judge
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.base import (
    Answer,
    ConfidenceTooLow,
    GeneratingStudent,
    close_student,
    student_cost,
    text_answer,
)
from understudies.students.exact_match import ExactMatchStudent
from understudies.students.head_inputs import HEAD_FILE, HeadInputs, HeadStudent, add_head, input_name, memory_key
from understudies.students.loader import load_student

LABEL = LabelJudge()


def known(text: str, *answers: str, calls: int = 5, temperature: float | None = 0) -> Example:
    """An input that so many calls had, with the answers known to it."""
    *repeats, last = [assistant_message(answer) for answer in answers]
    one = example(text, last, temperature=temperature)
    return one.model_copy(update={"calls": calls, "repeats": tuple(repeats)})


def head(*examples: Example) -> HeadInputs:
    return HeadInputs.find(examples, LABEL)


def named(text: str) -> str:
    return input_name(user_request(text))


class Base:
    """Answers whatever it is asked, and counts."""

    kind = "classifier"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = False

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        self.asked += [request.messages[-1].text for request in requests]
        return [text_answer("of the base", 0.5) for _ in requests]

    def cost(self, usage: Usage) -> Any:
        return usage.prompt_tokens

    async def close(self) -> None:
        self.closed = True


class Writing(Base):
    """The same, token by token."""

    kind = "few_shot"

    def __init__(self) -> None:
        super().__init__()
        self.floors: list[tuple[float, int | None]] = []

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        self.floors.append((floor, max_tokens))
        if floor > 0.5:
            raise ConfidenceTooLow(0.5)
        return text_answer("of the base", 0.5)


# What belongs to it


def test_an_input_of_five_calls_belongs_to_the_head_and_one_of_four_does_not() -> None:
    found = head(known("often", "a", calls=5), known("seldom", "a", calls=4))
    assert found.input_names == {named("often")}


def test_calls_add_up_over_requests_that_read_the_same() -> None:
    one, other = known("hello", "a", calls=3), known("hello", "a", calls=2)
    prompt = Message(role="system", content="Today is Monday.")
    other = other.model_copy(update={"request": Request(messages=(prompt, *other.request.messages[1:]))})
    assert head(one, other).input_names == {named("hello")}


def test_an_input_counts_whatever_its_split() -> None:
    for split in ("train", "validation", "test"):
        assert head(known("often", "a").model_copy(update={"split": split})).input_names == {named("often")}


def test_a_task_without_popular_inputs_has_no_head() -> None:
    assert head(known("seldom", "a", calls=1)) == HeadInputs()


# What is remembered


def test_answers_that_agree_are_remembered() -> None:
    found = head(known("often", "refund", "Refund", "refund."))
    [memory] = found.memories.values()
    assert memory.text.lower().strip(".") == "refund"
    assert found.contested == frozenset()


def test_nine_in_ten_are_remembered_and_fewer_are_contested() -> None:
    nine = known("often", *["b", *["a"] * 9])
    eight = known("often", *["b", "b", *["a"] * 8])
    assert [memory.text for memory in head(nine).memories.values()] == ["a"]
    assert head(nine).contested == frozenset()
    assert head(eight).memories == {}
    assert head(eight).contested == {named("often")}


def test_the_last_answer_is_not_remembered_where_others_are_commoner() -> None:
    assert [memory.text for memory in head(known("often", *["a"] * 9, "b")).memories.values()] == ["a"]


def test_one_known_answer_alone_is_neither_remembered_nor_contested() -> None:
    found = head(known("often", "a", calls=9))
    assert found == HeadInputs(frozenset({named("often")}))


@pytest.mark.parametrize(("temperature", "remembered"), [(None, True), (0, True), (0.7, False)])
def test_what_was_asked_at_a_temperature_is_not_remembered(temperature: float | None, remembered: bool) -> None:
    found = head(known("often", "a", "a", temperature=temperature))
    assert found.input_names == {named("often")}
    assert bool(found.memories) is remembered


def test_what_agrees_is_the_judges_word() -> None:
    twice = [known("often", "7", "7.0", calls=5)]
    assert HeadInputs.find(twice, parse_judge("numeric")).contested == frozenset()
    assert HeadInputs.find(twice, ExactJudge()).contested == {named("often")}


def test_calls_of_tools_are_remembered_without_the_ids_that_are_drawn_anew() -> None:
    def call(id_: str) -> Message:
        message = tool_call_message(("refund", '{"order": 5}'))
        assert message.tool_calls is not None
        return message.model_copy(update={"tool_calls": (message.tool_calls[0].model_copy(update={"id": id_}),)})

    one = example("often", call("x")).model_copy(update={"calls": 5, "repeats": (call("y"), call("z"))})
    [memory] = HeadInputs.find([one], parse_judge("tool_calls")).memories.values()
    assert memory == call("call_0")


def test_what_else_decides_an_answer_is_part_of_the_memorys_key() -> None:
    plain = user_request("often")
    others: list[dict[str, Any]] = [
        {"tools": ({"type": "function", "function": {"name": "refund"}},)},
        {"response_format": {"type": "json_object"}},
        {"tool_choice": "none"},
        {"parameters": {"max_tokens": 3}},
    ]
    keys = {memory_key(plain.model_copy(update=other)) for other in others}
    assert len(keys) == 4
    assert memory_key(plain) not in keys
    assert {input_name(plain.model_copy(update=other)) for other in others} == {input_name(plain)}


# Contexts


def test_one_text_in_two_contexts_is_two_inputs() -> None:
    examples = examples_decided_by_record(60)
    system = SystemTemplate.learn([one.request for one in examples])
    rng = random.Random(5)
    gold, silver = (request(record(rng, plan), "May I have a refund?") for plan in ("gold", "silver"))
    repeated = [
        one.model_copy(
            update={
                "request": prompt,
                "answer": assistant_message(answer),
                "repeats": (assistant_message(answer),),
                "calls": 6,
            }
        )
        for one, prompt, answer in zip(examples, (gold, silver), ("yes", "no"), strict=False)
    ]
    found = HeadInputs.find(repeated, LABEL, system)
    assert found.contested == frozenset()
    assert [found.memories[memory_key(one, system)].text for one in (gold, silver)] == ["yes", "no"]
    assert HeadInputs.find(repeated, LABEL).contested == {input_name(gold)} == {input_name(silver)}


async def test_a_known_text_in_an_unknown_context_is_the_bases() -> None:
    examples = examples_decided_by_record(60)
    system = SystemTemplate.learn([one.request for one in examples])
    rng = random.Random(5)
    gold, other = (request(record(rng, "gold"), "May I have a refund?") for _ in range(2))
    seen = examples[0].model_copy(update={"request": gold, "calls": 6, "repeats": (examples[0].answer,)})
    base = Base()
    known_one, unknown = await add_head(base, HeadInputs.find([seen], LABEL, system)).answer([gold, other])
    assert (known_one.head, known_one.confidence) == (input_name(gold, system), 1.0)
    assert (unknown.head, unknown.text) == (None, "of the base")


# The artifact


@pytest.mark.parametrize(
    "found",
    [
        head(known("often", "a", "a"), known("disputed", "a", "b")),
        head(known("often", "naïve 21 °C", "naïve 21 °C", temperature=None)),
        HeadInputs(
            frozenset({"text:1"}), system=SystemTemplate.learn([one.request for one in examples_decided_by_record(60)])
        ),
    ],
    ids=["memories", "unicode", "context"],
)
def test_a_head_survives_its_file(found: HeadInputs) -> None:
    assert found.input_names
    assert HeadInputs.from_files(found.to_files()) == found


def test_no_head_has_no_file_and_no_file_is_no_head() -> None:
    assert HeadInputs().to_files() == {}
    assert HeadInputs.from_files({"answers.json": b"{}"}) == HeadInputs()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'{"names": [], "memories": {"a": {"role": 5}}, "contested": []}',
        b'{"names": 5, "memories": {}, "contested": []}',
        b'{"names": [], "memories": {}, "contested": [], "system": 5}',
    ],
)
def test_a_damaged_file_is_an_artifact_error(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="the head of the student is invalid"):
        HeadInputs.from_files({HEAD_FILE: data})


async def test_a_loaded_student_has_the_head_it_was_written_with(tmp_path: Path) -> None:
    files = ObjectStore(f"file://{tmp_path}")
    found = head(known("often", "remembered", "remembered"))
    content = {**ExactMatchStudent.fit([], ExactJudge()).to_files(), **found.to_files()}
    manifest = Manifest(kind="cache", task="triage", student="triage@1", created=START, dataset_digest="d")
    student = load_student(files, write_artifact(files, content, manifest))
    [answer] = await student.answer([user_request("often", system="Name the intent.")])
    assert isinstance(student, HeadStudent)
    assert (answer.text, answer.head) == ("remembered", named("often"))


# The student


async def test_each_request_is_answered_by_memory_or_by_the_base_in_order() -> None:
    base = Base()
    student = add_head(base, head(known("often", "a", "a"), known("disputed", "a", "b"), known("once", "a")))
    texts = ["new", "often", "once", "disputed", "other"]
    answers = await student.answer([user_request(text, system="Name the intent.") for text in texts])
    assert base.asked == ["new", "once", "other"]
    assert [(answer.text, answer.confidence, answer.head) for answer in answers] == [
        ("of the base", 0.5, None),
        ("a", 1.0, named("often")),
        ("of the base", 0.5, named("once")),
        ("", 0.0, named("disputed")),
        ("of the base", 0.5, None),
    ]


async def test_the_base_is_not_asked_where_all_is_remembered() -> None:
    base = Base()
    await add_head(base, head(known("often", "a", "a"))).answer([user_request("often")] * 3)
    assert base.asked == []


async def test_a_memory_is_not_given_to_who_asks_at_a_temperature() -> None:
    base = Base()
    student = add_head(base, head(known("often", "a", "a")))
    [answer] = await student.answer([user_request("often", temperature=0.7)])
    assert (answer.text, answer.head) == ("of the base", named("often"))


async def test_a_memory_is_not_given_to_who_asks_for_another_form() -> None:
    base = Base()
    student = add_head(base, head(known("often", "a", "a")))
    wanted = user_request("often").model_copy(update={"response_format": {"type": "json_object"}})
    [answer] = await student.answer([wanted])
    assert (answer.text, answer.head) == ("of the base", named("often"))


async def test_it_is_of_the_bases_kind_and_price_and_closes_with_it() -> None:
    base = Base()
    student = add_head(base, head(known("often", "a")))
    assert student.kind == "classifier"
    assert student_cost(student, Usage(prompt_tokens=7)) == 7
    await close_student(student)
    assert base.closed


def test_a_student_without_a_head_is_itself() -> None:
    base = Base()
    assert add_head(base, HeadInputs()) is base


def test_only_over_a_student_that_writes_does_it_write() -> None:
    found = head(known("often", "a"))
    assert isinstance(add_head(Writing(), found), GeneratingStudent)
    assert not isinstance(add_head(Base(), found), GeneratingStudent)


async def test_a_memory_is_whole_at_once() -> None:
    base = Writing()
    student = add_head(base, head(known("often", "a", "a")))
    assert isinstance(student, GeneratingStudent)
    answer = await student.answer_until(user_request("often"), 0.9, 5)
    assert (answer.text, answer.confidence, answer.head) == ("a", 1.0, named("often"))
    assert base.floors == []


async def test_what_is_not_of_the_head_is_given_up_below_the_floor() -> None:
    base = Writing()
    student = add_head(base, head(known("often", "a")))
    assert isinstance(student, GeneratingStudent)
    with pytest.raises(ConfidenceTooLow):
        await student.answer_until(user_request("new"), 0.9, 5)
    assert base.floors == [(0.9, 5)]


async def test_an_input_of_the_head_is_written_to_its_end_however_unsure() -> None:
    """Its threshold is its own, and evidence on the surest answers alone would say too much."""
    base = Writing()
    student = add_head(base, head(known("once", "a")))
    assert isinstance(student, GeneratingStudent)
    answer = await student.answer_until(user_request("once"), 0.9, 5)
    assert (answer.text, answer.confidence, answer.head) == ("of the base", 0.5, named("once"))
    assert base.floors == [(0.0, 5)]
