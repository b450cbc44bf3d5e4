import json
import math
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from tests.support.chat_messages import tool_call_message, user_request
from tests.support.chat_server import ChatServer, Reply, chat_server, completion
from tests.support.contexts import examples_decided_by_record
from tests.support.datasets import dataset, intents

from understudies.datasets.dataset import Dataset
from understudies.datasets.errors import ArtifactError
from understudies.events import Usage
from understudies.judges.registry import parse_judge
from understudies.students.calibration import Calibration
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.few_shot.examples import select_k_centers
from understudies.students.few_shot.student import FewShotStudent

KEY = SecretStr("secret-key-1")
connections = EndpointPools()


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    await connections.close()


def fitted(server: ChatServer, data: Dataset, **options: Any) -> FewShotStudent:
    endpoint = Endpoint(base_url=server.base_url, model="cheap-1", api_key=KEY)
    judge = parse_judge(options.pop("judge", "label"))
    return FewShotStudent.fit(
        data.in_split("train"), judge, endpoint_name="cheap", endpoint=endpoint, pools=connections, **options
    )


def always(message: dict[str, Any], logprobs: list[float] | None = None) -> Reply:
    return lambda body: completion(message, logprobs)


@pytest.mark.parametrize("nearest", [False, True])
async def test_a_model_that_was_trained_on_the_task_is_shown_no_examples(nearest: bool) -> None:
    async with chat_server(always({"content": "refund"}, [-0.1])) as server:
        student = fitted(server, intents(60), shots=0, nearest=nearest)
        [answer] = await student.answer([user_request("pay me back", system="Name the intent.")])
    [body] = server.bodies
    assert [message["content"] for message in body["messages"]] == ["Name the intent.", "pay me back"]
    assert answer.confidence == pytest.approx(math.exp(-0.1))


async def test_the_prompt_is_system_then_examples_then_request() -> None:
    async with chat_server(always({"content": "refund"}, [-0.1])) as server:
        student = fitted(server, intents(60), shots=2)
        request = user_request("pay me back", system="Name the intent.").model_copy(
            update={"parameters": {"max_tokens": 5, "logit_bias": {"7": 5}, "service_tier": "flex"}, "temperature": 0.9}
        )
        [answer] = await student.answer([request])
    [body] = server.bodies
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert body["messages"][0]["content"] == "Name the intent."
    assert body["messages"][-1]["content"] == "pay me back"
    assert (body["model"], body["temperature"], body["max_tokens"], body["logprobs"]) == ("cheap-1", 0, 5, True)
    assert not body.keys() & {"logit_bias", "service_tier"}
    assert server.keys == ["Bearer secret-key-1"]
    assert answer.usage == Usage(prompt_tokens=7, completion_tokens=2)


async def test_examples_are_shown_with_their_context_and_the_nearest_by_it() -> None:
    data = Dataset("refunds", tuple(examples_decided_by_record(60, texts=("May I?",))))
    async with chat_server(always({"content": "yes"}, [-0.1])) as server:
        student = fitted(server, data, shots=1, nearest=True)
        again = FewShotStudent.from_files(student.to_files(), declared(server), connections)
        known = data.in_split("train")[3]
        for one in (student, again):
            await one.answer([known.request])
    for body in server.bodies:
        system, shown, answered, request = body["messages"]
        assert shown["content"].endswith("\n\nMay I?")
        assert shown["content"].split("Notes:")[1].split("\n")[0] in system["content"]
        assert (answered["content"], request["content"]) == (known.answer.text, "May I?")


def declared(server: ChatServer) -> EndpointSettings:
    return EndpointSettings(endpoints={"cheap": Endpoint(base_url=server.base_url, model="cheap-1", api_key=KEY)})


async def test_confidence_is_the_probability_of_the_whole_answer() -> None:
    async with chat_server(always({"content": "refund"}, [-0.1, -0.2])) as server:
        [answer] = await fitted(server, intents(60)).answer([user_request("x")])
    assert answer.confidence == pytest.approx(math.exp(-0.3))


async def test_without_log_probabilities_the_most_similar_examples_vote() -> None:
    async with chat_server(always({"content": "Refund."})) as server:
        student = fitted(server, intents(120))
        sure, unsure = await student.answer(
            [user_request("refund of my purchase number 5"), user_request("set another pin number 5")]
        )
    assert sure.confidence > 0.9
    assert unsure.confidence < 0.1


async def test_the_nearest_examples_are_shown_most_similar_last() -> None:
    async with chat_server(always({"content": "refund"})) as server:
        student = fitted(server, intents(120), shots=3, nearest=True)
        await student.answer([user_request("choose a new secret number, pin number 11")])
    answers = [m["content"] for m in server.bodies[0]["messages"] if m["role"] == "assistant"]
    assert answers == ["change pin"] * 3


async def test_tool_calls_are_shown_with_results_and_read() -> None:
    reply = {
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "refund", "arguments": "{}"}}],
    }
    async with chat_server(always(reply)) as server:
        data = intents(60, lambda intent, _: tool_call_message((intent.replace(" ", "_"), "{}")))
        tools = ({"type": "function", "function": {"name": "refund"}},)
        student = fitted(server, data, shots=1, judge="tool_calls")
        [answer] = await student.answer(
            [user_request("refund of my purchase number 3").model_copy(update={"tools": tools})]
        )
    assert answer.message.tool_calls is not None
    assert answer.confidence > 0.9
    assert [m["role"] for m in server.bodies[0]["messages"]] == ["user", "assistant", "tool", "user"]
    shown, result = server.bodies[0]["messages"][1:3]
    assert shown["tool_calls"][0]["id"] == result["tool_call_id"]
    assert server.bodies[0]["tools"] == list(tools)


async def test_a_calibration_says_how_sure_and_is_kept() -> None:
    known = Calibration(slope=0.5, lead=0.5, bias=1.0)
    async with chat_server(always({"content": "refund"}, [-0.1, -0.2])) as server:
        student = fitted(server, intents(60))
        [before] = await student.answer([user_request("x")])
        files = student.with_calibration(known).to_files()
        assert files.keys() == {"few_shot.json", "calibration.json"}
        assert student.to_files().keys() == {"few_shot.json"}
        endpoints = EndpointSettings(endpoints={"cheap": Endpoint(base_url=server.base_url, model="cheap-1")})
        [after] = await FewShotStudent.from_files(files, endpoints, connections).answer([user_request("x")])
    assert before.confidence == pytest.approx(math.exp(-0.3))
    assert after.confidence == pytest.approx(known(-0.3))


async def test_the_vote_of_similar_examples_is_calibrated_too() -> None:
    known = Calibration(slope=1.0, lead=1.0, bias=-2.0)
    async with chat_server(always({"content": "nothing that was ever answered"})) as server:
        [never] = await fitted(server, intents(60)).with_calibration(known).answer([user_request("x")])
    async with chat_server(always({"content": "refund"})) as server:
        student = fitted(server, intents(60))
        [plain] = await student.answer([user_request("refund of my purchase number 5")])
        [shyer] = await student.with_calibration(known).answer([user_request("refund of my purchase number 5")])
    assert never.confidence == 0
    assert 0 < shyer.confidence < plain.confidence


async def test_the_artifact_names_the_endpoint_and_keeps_no_secret() -> None:
    async with chat_server(always({"content": "refund"}, [-0.1])) as server:
        student = fitted(server, intents(60))
        files = student.to_files()
        assert b"secret-key-1" not in b"".join(files.values())
        assert server.base_url.encode() not in b"".join(files.values())
        endpoints = EndpointSettings(endpoints={"cheap": Endpoint(base_url=server.base_url, model="cheap-1")})
        again = FewShotStudent.from_files(files, endpoints, connections)
        assert [a.text for a in await again.answer([user_request("a"), user_request("b")])] == ["refund", "refund"]
    assert server.keys == [None, None]
    assert again.to_files() == files
    with pytest.raises(ArtifactError, match="'cheap'; set UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL"):
        FewShotStudent.from_files(files, EndpointSettings(endpoints={}))


def test_damaged_recipes_are_refused() -> None:
    for damaged in ({}, {"few_shot.json": b"{"}, {"few_shot.json": json.dumps({"endpoint": "x"}).encode()}):
        with pytest.raises(ArtifactError, match="is invalid"):
            FewShotStudent.from_files(damaged, EndpointSettings(endpoints={}))


async def test_examples_are_distinct_and_of_every_sort() -> None:
    texts = [(example.request.messages[-1].text, example.answer) for example in intents(60).examples]
    async with chat_server(always({"content": "refund"})) as server:
        student = fitted(server, dataset(texts * 2), shots=9)
        await student.answer([user_request("x")])
    shown = server.bodies[0]["messages"]
    assert {m["content"] for m in shown if m["role"] == "assistant"} == {"card arrival", "change pin", "refund"}
    prompts = [m["content"] for m in shown if m["role"] == "user"]
    assert len(set(prompts)) == len(prompts) == 10


def test_k_centre_takes_the_central_then_the_farthest() -> None:
    angles = np.array([0.0, 0.1, 0.2, 1.5, 3.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    chosen = select_k_centers(vectors, 3)
    assert chosen[1] == 4
    assert len(set(chosen)) == 3
    assert sorted(select_k_centers(vectors, 99)) == [0, 1, 2, 3, 4]
    assert select_k_centers(vectors[:0], 3) == []


async def test_an_endpoint_is_declared_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", "http://host/v1")
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "cheap-1")
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__API_KEY", "secret")
    endpoint = EndpointSettings().get("Cheap")
    assert (endpoint.base_url, endpoint.model) == ("http://host/v1", "cheap-1")
    assert "secret" not in repr(endpoint)
