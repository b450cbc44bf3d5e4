import json
import math
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr
from tests.support.chat_messages import assistant_message, tool_call_message, user_request
from tests.support.datasets import INTENTS, dataset, intents
from tests.support.decision_server import FAULTS, DecisionServer, Fault, decision_server

from understudies.datasets.dataset import Dataset, Example
from understudies.datasets.errors import ArtifactError
from understudies.events import FunctionCall, Message, Request, ToolCall, Usage
from understudies.judges.registry import parse_judge
from understudies.students.base import StudentError, student_cost
from understudies.students.calibration import Calibration
from understudies.students.classifier.student import NotClosedSetError
from understudies.students.decision.choices import find_choices, without_choices
from understudies.students.decision.student import DecisionStudent
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import Endpoint, EndpointSettings

connections = EndpointPools()
LABEL = parse_judge("label")


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    await connections.close()


def by_words(text: str, values: list[str]) -> Mapping[str, float]:
    """Shares by how many of a choice's usual words stand in the input."""
    words = {value: set(" ".join(INTENTS.get(value.lower(), (value,))).split()) for value in values}
    counts = {value: 1 + 9 * len(known & set(text.split())) for value, known in words.items()}
    return {value: count / sum(counts.values()) for value, count in counts.items()}


def endpoint(server: DecisionServer, api: str = "decisions", **options: Any) -> Endpoint:
    return Endpoint.model_validate(
        {"base_url": server.base_url, "model": "cheap-1", "api": api, "api_key": SecretStr("key-1"), **options}
    )


def fitted(
    server: DecisionServer, data: Dataset | None = None, api: str = "decisions", **options: Any
) -> DecisionStudent:
    train = (data or intents(60)).in_split("train")
    return DecisionStudent.fit(
        train, LABEL, endpoint_name="cheap", endpoint=endpoint(server, api, **options), pools=connections
    )


@pytest.mark.parametrize("api", ["decisions", "systemone"])
async def test_a_request_is_one_closed_question(api: str) -> None:
    async with decision_server(by_words) as server:
        [answer] = await fitted(server, api=api).answer([user_request("my card arrive", system="Name the intent.")])
    [body] = server.bodies
    assert (server.paths, server.keys, body["model"]) == ([f"/v1/{api}"], ["Bearer key-1"], "cheap-1")
    if api == "decisions":
        [question] = body["questions"]
        assert [one["value"] for one in question["choices"]] == ["card arrival", "change pin", "refund"]
        assert body["input"] == "my card arrive"
    else:
        [question] = body["questions"].values()
        assert list(question["criteria"]) == ["card arrival", "change pin", "refund"]
        assert body["state"] == "my card arrive"
    assert (question["type"], question["instructions"]) == ("choice", "Name the intent.")
    assert answer.text == "card arrival"
    assert answer.confidence == pytest.approx(by_words("my card arrive", sorted(INTENTS))["card arrival"], abs=1e-6)
    assert answer.usage.prompt_tokens == len(json.dumps(body)) // 4


async def test_a_conversation_is_asked_with_its_turns_and_tools() -> None:
    call = ToolCall(id="c1", function=FunctionCall(name="find", arguments='{"id": 7}'))
    turns = (
        Message(role="system", content="Name the intent."),
        Message(role="user", content="hi"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", tool_call_id="c1", content="a card"),
        Message(role="user", content="where is it"),
    )
    wanted = [
        {"role": "user", "content": "hi"},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"id": 7}'},
        {"type": "function_call_output", "call_id": "c1", "output": "a card"},
        {"role": "user", "content": "where is it"},
    ]
    async with decision_server(by_words) as server:
        for api in ("decisions", "systemone"):
            await fitted(server, api=api).answer([Request(messages=turns)])
    assert server.bodies[0]["input"] == wanted
    assert server.bodies[1]["state"] == {"conversation": wanted}


async def test_without_instructions_or_user_message_there_is_still_a_question() -> None:
    async with decision_server(by_words) as server:
        student = fitted(server)
        await student.answer([user_request("refund")])
        await student.answer([Request(messages=(Message(role="system", content="refund of order 5?"),))])
    assert server.bodies[0]["questions"][0]["instructions"] == "Choose the answer to the input."
    assert server.bodies[1]["input"] == "refund of order 5?"


async def test_the_answer_is_the_teachers_usual_form() -> None:
    data = intents(60, lambda intent, n: assistant_message(f"**{intent.title()}**" if n % 4 else intent))
    async with decision_server(by_words) as server:
        [answer] = await fitted(server, data).answer([user_request("money back for order")])
    assert answer.text == "**Refund**"
    assert LABEL.judge(assistant_message("refund"), answer.message).agreed


async def test_calls_of_tools_and_json_are_choices_too() -> None:
    for judge, make in (
        ("tool_calls", lambda intent, _: tool_call_message((intent.replace(" ", "_"), "{}"))),
        ("json", lambda intent, _: assistant_message(json.dumps({"intent": intent}))),
    ):
        data = intents(60, make)
        async with decision_server(lambda text, values: {v: float("refund" in v) for v in values}) as server:
            student = DecisionStudent.fit(
                data.in_split("train"),
                parse_judge(judge),
                endpoint_name="cheap",
                endpoint=endpoint(server),
                pools=connections,
            )
            [answer] = await student.answer([user_request("money back")])
        assert "refund" in (answer.text or str(answer.message.tool_calls))


async def test_what_it_states_is_calibrated_and_priced() -> None:
    async with decision_server(lambda text, values: {v: float(v == "refund") for v in values}, usage=False) as server:
        student = fitted(server, usd_per_million_prompt_tokens=Decimal(2)).with_calibration(
            Calibration(slope=1, lead=0, bias=-1.0)
        )
        [answer] = await student.answer([user_request("x")])
    assert answer.confidence == pytest.approx(1 / (1 + math.e), abs=1e-6)
    # Without reported usage, four characters of the body are a token.
    sent = len(json.dumps(server.bodies[0], separators=(",", ":")))
    assert answer.usage == Usage(prompt_tokens=-(-sent // 4))
    assert student_cost(student, answer.usage) == answer.usage.prompt_tokens * Decimal(2) / 1_000_000


async def test_a_declined_question_is_paid_for_and_never_served() -> None:
    async with decision_server(lambda text, values: None) as server:
        [answer] = await fitted(server).answer([user_request("x")])
    assert (answer.text, answer.confidence) == ("", 0.0)
    assert answer.usage.prompt_tokens > 0


async def test_a_choice_held_impossible_has_no_confidence() -> None:
    async with decision_server(lambda text, values: dict.fromkeys(values, 0.0)) as server:
        [answer] = await fitted(server).answer([user_request("x")])
    assert answer.confidence == 0.0


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failing_api_is_an_error_of_the_student(fault: Fault) -> None:
    async with decision_server(by_words, fault=fault) as server:
        student = fitted(server, timeout_seconds=0.2 if fault == "hang" else 10)
        with pytest.raises(StudentError) as raised:
            await student.answer([user_request("a secret question"), user_request("another")])
    assert "secret" not in str(raised.value)
    assert "cheap-1" in str(raised.value)


async def test_an_api_that_is_gone_is_an_error_of_the_student() -> None:
    async with decision_server(by_words) as server:
        student = fitted(server)
    with pytest.raises(StudentError, match="unavailable"):
        await student.answer([user_request("x")])


async def test_its_files_give_the_same_student() -> None:
    async with decision_server(by_words) as server:
        student = fitted(server).with_calibration(Calibration(slope=2.0))
        declared = EndpointSettings(endpoints={"cheap": endpoint(server)})
        again = DecisionStudent.from_files(student.to_files(), declared, connections)
        requests = [user_request("refund"), user_request("pin")]
        assert await student.answer(requests) == await again.answer(requests)
    assert b"key-1" not in b"".join(student.to_files().values())
    assert server.base_url.encode() not in b"".join(student.to_files().values())


@pytest.mark.parametrize("content", [{}, {"decision.json": b"{"}, {"decision.json": b'{"endpoint": "cheap"}'}])
def test_damaged_files_are_refused(content: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactError, match="manifest of the decision student is invalid"):
        DecisionStudent.from_files(content, EndpointSettings())


async def test_an_endpoint_of_chat_is_refused_with_the_remedy() -> None:
    async with decision_server(by_words) as server:
        with pytest.raises(ArtifactError, match="ENDPOINTS__CHEAP__API to decisions or systemone"):
            fitted(server, api="chat")


def listed(labels: list[str], answers: list[str], layout: str) -> list[Example]:
    made = dataset((f"question {n}", assistant_message(text)) for n, text in enumerate(answers))
    system = Message(role="system", content=layout.format("\n".join(labels), ", ".join(labels)))
    return [
        one.model_copy(update={"request": Request(messages=(system, *one.request.messages[1:]))})
        for one in made.examples
    ]


@pytest.mark.parametrize(
    "layout",
    ["Name the intent:\n\n{0}\n\nBe brief.", "Name the intent, one of\n{0}", "Choose one of: {1}.\nBe brief."],
)
def test_labels_that_the_prompt_lists_are_choices_before_they_are_given_twice(layout: str) -> None:
    labels = ["refund", "card arrival", "change pin", "lost card"]
    train = listed(labels, ["Refund", "refund", "card arrival", "change pin"], layout)
    found = find_choices(train, LABEL)
    assert sorted(choice.value.lower() for choice in found) == sorted(labels)
    # In the form that the teacher uses, where it is known.
    assert {choice.value for choice in found} & {"Refund", "refund"}


def test_a_list_of_something_else_is_no_choice() -> None:
    rules = ["be brief", "be kind", "no jokes", "refund"]
    train = listed(rules, ["refund", "refund", "card", "card"], "Rules:\n\n{0}\n\nGo.")
    assert [choice.value for choice in find_choices(train, LABEL)] == ["card", "refund"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([f"answer {n}" for n in range(20)], "answers given at least twice cover 0 of 20"),
        (["yes"] * 20, "1 different answers; a question offers 2 to 255"),
        ([f"answer {n % 300}" for n in range(900)], "300 different answers; a question offers 2 to 255"),
    ],
)
def test_what_no_question_can_offer_is_named(answers: list[str], why: str) -> None:
    with pytest.raises(NotClosedSetError, match=why):
        find_choices(listed([], answers, "Say."), LABEL)


def test_lines_that_name_a_choice_are_left_out_of_the_instructions() -> None:
    assert without_choices("One of:\n1. yes\n2) no\nmaybe\n", ["yes", "no"]) == "One of:\nmaybe"
