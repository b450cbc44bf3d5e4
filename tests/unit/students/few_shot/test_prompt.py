"""Students with a prompt of their own, and with a model of their own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.chat_server import ChatServer, chat_server, completion
from tests.support.contexts import examples_decided_by_record
from tests.support.datasets import intents

from understudies.datasets.dataset import Dataset
from understudies.datasets.system_template import NO_CONTEXT
from understudies.events import Message
from understudies.judges.registry import parse_judge
from understudies.students.base import StudentError
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.few_shot.prompt import TaskPrompt, closed_schema
from understudies.students.few_shot.student import FewShotStudent

LABELS = closed_schema(["refund", "change pin"])
connections = EndpointPools()


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    await connections.close()


def prompted(server: ChatServer, prompt: TaskPrompt, data: Dataset | None = None, shots: int = 2) -> FewShotStudent:
    student = FewShotStudent.fit(
        (data or intents(60)).in_split("train"),
        parse_judge("label"),
        endpoint_name="cheap",
        endpoint=Endpoint(base_url=server.base_url, model="cheap-1"),
        pools=connections,
        kind="prompt_optimised",
    )
    return student.with_prompt(prompt, shots=shots, nearest=False)


def says(text: str, finish: str = "stop") -> Any:
    answer = completion({"content": text}, [-0.1])
    answer["choices"][0]["finish_reason"] = finish
    return lambda body: answer


async def test_its_instructions_take_the_place_of_the_system_prompt() -> None:
    async with chat_server(says("refund")) as server:
        await prompted(server, TaskPrompt(instructions="Short.")).answer([user_request("x", system="A long prompt.")])
        await prompted(server, TaskPrompt(instructions="")).answer([user_request("x", system="A long prompt.")])
    first, second = (body["messages"] for body in server.bodies)
    assert first[0] == {"role": "system", "content": "Short."}
    assert [message["role"] for message in second] == ["user", "assistant"] * 2 + ["user"]
    assert "A long prompt." not in json.dumps(server.bodies)


async def test_the_context_of_the_call_is_kept() -> None:
    data = Dataset("refunds", tuple(examples_decided_by_record(60, texts=("May I?",))))
    known = data.in_split("train")[0]
    async with chat_server(says("yes")) as server:
        await prompted(server, TaskPrompt(instructions="Short."), data).answer([known.request])
    system = server.bodies[0]["messages"][0]["content"]
    assert system.startswith("Short.\n\n")
    assert known.request.system.split("Notes:")[1].split("\n")[0].strip() in system


async def test_a_label_is_held_to_the_schema_shown_in_it_and_read_from_it() -> None:
    async with chat_server(says('{"answer": "change pin"}')) as server:
        student = prompted(server, TaskPrompt(instructions="Short.", answer_schema=LABELS))
        [answer] = await student.answer([user_request("x")])
    [body] = server.bodies
    assert body["response_format"]["json_schema"]["schema"] == LABELS
    shown = [json.loads(one["content"]) for one in body["messages"] if one["role"] == "assistant"]
    assert [list(one) for one in shown] == [["answer"]] * 2
    assert answer.text == "change pin"


async def test_what_the_caller_asks_for_goes_before_the_schema() -> None:
    own = {"type": "json_object"}
    async with chat_server(says('{"answer": "change pin"}')) as server:
        student = prompted(server, TaskPrompt(instructions="Short.", answer_schema=LABELS, max_tokens=9))
        request = user_request("x").model_copy(update={"response_format": own, "parameters": {"max_tokens": 77}})
        [answer] = await student.answer([request])
    assert (server.bodies[0]["response_format"], server.bodies[0]["max_tokens"]) == (own, 77)
    assert answer.text == '{"answer": "change pin"}'


@pytest.mark.parametrize("text", ["refund", "[1]", '{"other": "x"}', '{"answer": 3}'])
async def test_an_answer_of_another_form_is_none(text: str) -> None:
    async with chat_server(says(text)) as server:
        with pytest.raises(StudentError):
            await prompted(server, TaskPrompt(instructions="", answer_schema=LABELS)).answer([user_request("x")])


async def test_an_answer_that_the_prompts_own_limit_cuts_is_none_and_the_callers_is_told() -> None:
    async with chat_server(says("ref", "length")) as server:
        student = prompted(server, TaskPrompt(instructions="", max_tokens=5))
        with pytest.raises(StudentError, match="did not end its answer"):
            await student.answer([user_request("x")])
        limited = user_request("x").model_copy(update={"parameters": {"max_tokens": 3}})
        [answer] = await student.answer([limited])
    assert [body["max_tokens"] for body in server.bodies] == [5, 3]
    assert answer.finish_reason == "length"


async def test_its_files_give_the_same_student_and_a_prompt_to_read() -> None:
    async with chat_server(says('{"answer": "refund"}')) as server:
        student = prompted(server, TaskPrompt(instructions="Short.", answer_schema=LABELS, max_tokens=9))
        files = student.to_files()
        declared = EndpointSettings(endpoints={"cheap": Endpoint(base_url=server.base_url, model="cheap-1")})
        again = FewShotStudent.from_files(files, declared, connections)
        for one in (student, again):
            await one.answer([user_request("x")])
    assert server.bodies[0] == server.bodies[1]
    assert files["prompt.md"] == b"Short."
    assert (again.kind, again.to_files()) == ("prompt_optimised", files)


async def test_a_model_of_its_own_is_asked() -> None:
    async with chat_server(says("refund")) as server:
        endpoint = Endpoint(base_url=server.base_url, model="cheap-1")
        student = FewShotStudent.fit(
            intents(60).in_split("train"),
            parse_judge("label"),
            endpoint_name="cheap",
            endpoint=endpoint,
            shots=0,
            pools=connections,
            kind="api_fine_tune",
            model="ft:cheap-1:own",
        )
        await student.answer([user_request("x")])
    assert server.bodies[0]["model"] == "ft:cheap-1:own"
    assert json.loads(student.to_files()["few_shot.json"])["kind"] == "api_fine_tune"


def test_what_is_no_label_is_left_as_it_is() -> None:
    prompt = TaskPrompt(instructions="", answer_schema={"type": "object", "properties": {"a": {"type": "string"}}})
    message = assistant_message('{"a": "b"}')
    assert prompt.wrap(message) == prompt.unwrap(message) == message
    assert TaskPrompt(instructions="Hi.").system(user_request("x"), NO_CONTEXT) == [
        Message(role="system", content="Hi.")
    ]
