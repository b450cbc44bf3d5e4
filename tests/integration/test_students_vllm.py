"""Students at a real vLLM: confidence from log-probabilities, adapters by name, early give-up, an adapter that is gone.

python -m vllm.entrypoints.openai.api_server --model BASE --served-model-name base --enable-lora --port 8000
curl localhost:8000/v1/load_lora_adapter -d '{"lora_name": "triage@1", "lora_path": "ADAPTER"}' -H content-type:...
UNDERSTUDIES_TEST_VLLM=http://localhost:8000/v1 pytest tests/integration/test_students_vllm.py
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from tests.support.datasets import intents

from understudies.events import Request, request_of
from understudies.judges.registry import parse_judge
from understudies.students.base import ConfidenceTooLow, StudentError
from understudies.students.endpoint.settings import Endpoint
from understudies.students.few_shot.student import FewShotStudent

URL = os.environ.get("UNDERSTUDIES_TEST_VLLM")
pytestmark = pytest.mark.skipif(URL is None, reason="needs a vLLM server: name it in UNDERSTUDIES_TEST_VLLM")


def question() -> Request:
    system = {"role": "system", "content": "Name the intent."}
    user = {"role": "user", "content": "money back for order 17"}
    return request_of({"messages": [system, user], "max_tokens": 12})


@asynccontextmanager
async def student(model: str, streamed: Literal["text", "never"] = "text") -> AsyncIterator[FewShotStudent]:
    endpoint = Endpoint(base_url=URL or "", model=model, streamed=streamed, timeout_seconds=120)
    train = intents(30).in_split("train")
    made = FewShotStudent.fit(train, parse_judge("label"), endpoint_name="vllm", endpoint=endpoint, shots=3)
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("model", ["base", "triage@1"])
async def test_an_answer_is_as_sure_whether_it_is_streamed_or_not(model: str) -> None:
    async with student(model) as streaming, student(model, "never") as whole:
        (one,), (other,) = await streaming.answer([question()]), await whole.answer([question()])
    assert one.message == other.message
    assert one.confidence == pytest.approx(other.confidence, abs=1e-3)
    assert 0.0 < one.confidence < 1.0
    assert one.usage.prompt_tokens > 0
    assert one.usage == other.usage


async def test_the_adapter_answers_by_its_own_name_and_not_as_its_base_does() -> None:
    async with student("base") as base, student("triage@1") as adapted:
        (one,), (other,) = await base.answer([question()]), await adapted.answer([question()])
    assert one.confidence != pytest.approx(other.confidence, abs=1e-3)


async def test_it_is_given_up_as_soon_as_it_can_no_longer_be_sure_enough() -> None:
    async with student("base") as made:
        with pytest.raises(ConfidenceTooLow) as unsure:
            await made.answer_until(question(), 0.999_999)
    assert unsure.value.usage.completion_tokens < 12


async def test_an_adapter_that_is_gone_is_said_to_be_gone() -> None:
    async with student("gone@9") as made:
        with pytest.raises(StudentError, match="'gone@9' does not exist"):
            await made.answer([question()])
