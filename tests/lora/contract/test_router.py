"""A LoRA student of either engine behind the router, which is asked over HTTP."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.lora_engines import EngineHarness
from tests.support.lora_students import student
from tests.support.router_fixtures import StubLoader
from tests.support.router_harness import RouterHarness, router_harnesses

from understudies.students.lora.student import LoraStudent

_PRICE = Decimal(100)
"""US dollars a million tokens."""


@pytest.fixture
async def house(
    contract_base: Path, adapters: list[dict[str, bytes]], harness: EngineHarness
) -> AsyncIterator[RouterHarness]:
    made = student(contract_base, adapters[0], harness.make())
    priced = made.manifest.model_copy(update={"usd_per_million_tokens": _PRICE})
    one = LoraStudent(priced, made.to_files(), made._engine)
    async with router_harnesses() as build:
        yield await build(load=StubLoader(one), student_timeout_s=120)
        # No task may be left over when the router is gone.
        await harness.close()


def asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 8, "temperature": 0}


@pytest.mark.parametrize("stream", [False, True])
async def test_it_serves_what_it_is_sure_of_at_its_own_price(house: RouterHarness, stream: bool) -> None:
    await house.promote(threshold=0.5)
    response = await house.ask("chat", stream=stream, **asked("order two please 5"))
    assert response.status == 200
    assert response.about["served-by"] == "student"
    assert b'"content":"2"' in response.body.replace(b": ", b":")
    event = await house.event()
    assert event.response is not None
    assert event.response.message.text == "2"
    assert event.route is not None
    tokens = event.usage.prompt_tokens + event.usage.completion_tokens
    assert tokens > 10
    assert event.route.student_cost_usd == _PRICE * tokens / 1_000_000
    assert not house.teacher.asked


async def test_what_it_cannot_be_sure_of_is_given_up_and_the_teacher_answers(house: RouterHarness) -> None:
    await house.promote(threshold=0.999999)
    response = await house.ask("chat", **asked("thank you where is status change"))
    assert (response.about["served-by"], response.about["reason"]) == ("teacher", "low_confidence")
    event = await house.event()
    assert event.route is not None
    assert 0 < event.route.student_cost_usd < Decimal("0.01")
    assert len(house.teacher.asked) == 1
