"""Decision APIs through the router and the SDK: the teacher's answer passes, and its probabilities are recorded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.router_harness import BuildHarness, router_harnesses
from tests.support.scripted_upstream import json_reply, scripted_upstream
from tests.support.sightings import corpus_lines, local

from understudies.events import Invocation, encode

QUESTION: dict[str, Any] = {
    "type": "choice",
    "name": "team",
    "instructions": "?",
    "choices": [{"value": "a"}, {"value": "b"}],
}
ASKED: dict[str, Any] = {"model": "gpt-6-luna", "input": "my parcel is late", "questions": [QUESTION]}
SHARES = [{"value": "a", "probability": 0.1}, {"value": "b", "probability": 0.9}]
ANSWER = {
    "model": "gpt-6-luna-1",
    "answers": [{"type": "choice", "name": "team", "choice": "b", "confidence": 0.8, "probabilities": SHARES}],
    "usage": {"input_tokens": 50, "output_tokens": 0, "total_tokens": 50},
}
STATE = {"model": "jev", "state": "late", "questions": {"late": {"type": "noul", "instructions": "late?"}}}
STATE_ANSWER = {"model": "jev-1", "answers": {"late": {"type": "noul", "noul": 0.75}}, "usage": {"input_tokens": 9}}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as built:
        yield built


@pytest.mark.parametrize(
    ("api", "asked", "answer", "text", "labels"),
    [
        ("decisions", ASKED, ANSWER, "b", {"team": [("a", 0.1), ("b", 0.9)]}),
        ("systemone", STATE, STATE_ANSWER, "true", {"late": [(True, 0.75), (False, 0.25)]}),
    ],
)
async def test_a_decision_is_recorded_with_its_soft_labels(
    build: BuildHarness, api: str, asked: dict[str, Any], answer: dict[str, Any], text: str, labels: dict[str, Any]
) -> None:
    async with scripted_upstream(lambda _: json_reply(answer)) as url:
        house = await build(teachers={"teacher": {"base_url": url}})
        await house.promote()
        got = await house.send("POST", f"/v1/{api}", json=asked, x_understudies_task="triage")
        assert (got.status, got.body) == (200, json_reply(answer).body)
        assert (got.about["served-by"], got.about["reason"]) == ("teacher", "unsuitable")
    event = await house.event()
    assert event.response is not None
    again = Invocation.model_validate_json(encode(event))
    assert again == event
    assert (event.api, event.response.message.content) == (api, text)
    soft = {
        name: [(one.value, one.probability) for one in shares]
        for name, shares in (event.response.probabilities or {}).items()
    }
    assert soft == labels
    assert event.usage.prompt_tokens == answer["usage"]["input_tokens"]


async def test_an_error_has_the_shape_of_the_api(build: BuildHarness) -> None:
    house = await build(teachers={"teacher": {"base_url": "http://127.0.0.1:9/v1"}})
    got = await house.send("POST", "/v1/decisions", json=ASKED)
    assert (got.status, b'"code":"teacher_unreachable"' in got.body) == (502, True)


async def test_the_official_client_is_recorded_alike(build: BuildHarness, tmp_path: Path) -> None:
    async with (
        scripted_upstream(lambda _: json_reply(ANSWER)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client,
    ):
        house = await build(teachers={"teacher": {"base_url": url}})
        await house.send("POST", "/v1/decisions", json=ASKED, x_understudies_task="triage")
        with local(tmp_path / "c.jsonl") as sdk:
            decision = await sdk.shadow(client, task="triage").decisions.create(**ASKED)
            assert decision.answers[0].type == "choice"
    (line,) = corpus_lines(tmp_path / "c.jsonl")
    event = await house.event()
    asked = [message.model_dump(exclude_none=True) for message in event.request.messages]
    assert line["messages"] == [*asked, {"role": "assistant", "content": "b"}]
    assert line["usage"]["prompt_tokens"] == 50
