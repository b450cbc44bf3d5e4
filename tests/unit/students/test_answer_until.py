"""A generated answer is given up as soon as it cannot be sure enough, and never means another confidence."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from tests.support.chat_messages import user_request
from tests.support.datasets import intents
from tests.support.student_server import StudentServer, student_server

from understudies.events import Request, Usage
from understudies.judges.registry import parse_judge
from understudies.students.base import ConfidenceTooLow, GeneratingStudent, StudentError, student_cost
from understudies.students.calibration import Calibration
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import Endpoint
from understudies.students.few_shot.student import FewShotStudent

CALL = {"id": "call_1", "type": "function", "function": {"name": "refund", "arguments": '{"order": 5}'}}
OTHER = {"id": "call_2", "type": "function", "function": {"name": "notify", "arguments": "{}"}}
TOOLS = ({"type": "function", "function": {"name": "refund"}},)


@pytest.fixture
async def connections() -> AsyncIterator[EndpointPools]:
    connections = EndpointPools()
    yield connections
    await connections.close()


@pytest.fixture
async def server() -> AsyncIterator[StudentServer]:
    async with student_server() as server:
        yield server


def student(server: StudentServer, connections: EndpointPools, **settings: Any) -> FewShotStudent:
    endpoint = Endpoint(base_url=server.base_url, model="triage@7", **settings)
    return FewShotStudent.fit(
        intents(30).in_split("train"),
        parse_judge("label"),
        endpoint_name="cheap",
        endpoint=endpoint,
        shots=1,
        pools=connections,
    )


def with_tools() -> Request:
    return user_request("refund order 5").model_copy(update={"tools": TOOLS})


async def test_a_sure_answer_comes_whole_with_its_usage(server: StudentServer, connections: EndpointPools) -> None:
    answer = await student(server, connections).answer_until(user_request("x"), math.exp(-0.31))
    assert answer.text == "refund"
    assert answer.confidence == pytest.approx(math.exp(-0.3))
    assert answer.usage == Usage(prompt_tokens=40, completion_tokens=2, cached_tokens=16)
    assert answer.finish_reason is None
    assert server.bodies[0]["stream_options"] == {"include_usage": True}
    assert server.bodies[0]["top_logprobs"] == 1


async def test_an_unsure_answer_is_given_up_at_once_and_the_endpoint_is_told(
    server: StudentServer, connections: EndpointPools
) -> None:
    """The server sends three tokens of many and then waits: only giving up can end this."""
    server.tokens = [("a", -0.1), ("b", -0.1), ("c", -2.0), ("d", -0.1)]
    server.wait_after = 3
    with pytest.raises(ConfidenceTooLow) as caught:
        await student(server, connections).answer_until(user_request("x"), 0.5)
    assert caught.value.confidence == pytest.approx(math.exp(-2.2))
    assert caught.value.usage.completion_tokens == 3
    assert caught.value.usage.prompt_tokens > 0
    await server.client_disconnected.wait()


async def test_a_bound_is_calibrated(server: StudentServer, connections: EndpointPools) -> None:
    known = Calibration(slope=0.1, lead=0.5, bias=3.0)
    server.tokens = [("a", -2.0), ("b", -1.0), ("c", -30.0), ("d", -0.1)]
    generating = student(server, connections).with_calibration(known)
    whole = await generating.answer_until(user_request("x"), 0.2)
    assert whole.confidence == pytest.approx(known(-33.1))
    server.wait_after = 3
    with pytest.raises(ConfidenceTooLow) as caught:
        await generating.answer_until(user_request("x"), 0.9)
    assert caught.value.confidence == pytest.approx(known(-33.0))


async def test_an_answer_too_long_to_be_held_back_is_given_up(
    server: StudentServer, connections: EndpointPools
) -> None:
    server.tokens = [("word ", -0.001)] * 10
    server.wait_after = 5
    with pytest.raises(ConfidenceTooLow, match="more than 4 tokens without end") as caught:
        await student(server, connections).answer_until(user_request("x"), 0.5, 4)
    assert caught.value.confidence == pytest.approx(math.exp(-0.005))
    await server.client_disconnected.wait()


async def test_an_answer_as_long_as_may_be_held_back_is_an_answer(
    server: StudentServer, connections: EndpointPools
) -> None:
    server.tokens = [("word ", -0.001)] * 4
    assert (await student(server, connections).answer_until(user_request("x"), 0.5, 4)).text == "word " * 4


async def test_without_log_probabilities_the_limit_still_holds(
    server: StudentServer, connections: EndpointPools
) -> None:
    server.tokens = [("word ", None)] * 10
    server.wait_after = 5
    with pytest.raises(ConfidenceTooLow) as caught:
        await student(server, connections).answer_until(user_request("x"), 0.5, 4)
    assert caught.value.confidence == 1.0


async def test_a_caller_that_leaves_ends_the_call_at_the_endpoint(
    server: StudentServer, connections: EndpointPools
) -> None:
    server.wait_after = 1
    asking = asyncio.create_task(student(server, connections).answer_until(user_request("x"), 0.0))
    await server.arrived.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await server.client_disconnected.wait()


@pytest.mark.parametrize("shape", ["openai", "llama", "llama_old"])
@pytest.mark.parametrize("streamed", ["always", "never"])
async def test_log_probabilities_are_read_in_each_shape(
    server: StudentServer, connections: EndpointPools, shape: Any, streamed: str
) -> None:
    server.shape = shape
    answer = await student(server, connections, streamed=streamed).answer_until(user_request("x"), 0.0)
    assert answer.confidence == pytest.approx(math.exp(-0.3))


@pytest.mark.parametrize("mood", ["answer", "whole"])
async def test_proof_and_service_give_the_same_confidence(
    server: StudentServer, connections: EndpointPools, mood: Any
) -> None:
    server.behavior = mood
    asking = student(server, connections)
    [proven] = await asking.answer([user_request("x")])
    served = await asking.answer_until(user_request("x"), 0.5, 100)
    assert proven == served
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize(
    ("tokens", "probable"),
    [
        ([("a", -0.1), ("b", None), ("c", -0.1)], True),
        ([("a", -0.1), ("b", None), ("c", None)], False),
        ([("a", None), ("b", None), ("c", None)], False),
    ],
)
async def test_an_answer_whose_tokens_are_mostly_untold_is_voted_on(
    server: StudentServer, connections: EndpointPools, tokens: Sequence[tuple[str, float | None]], probable: bool
) -> None:
    """No example was answered `abc`, so a vote gives no confidence at all."""
    server.tokens = tokens
    answer = await student(server, connections).answer_until(user_request("x"), 0.0)
    assert answer.text == "abc"
    assert (answer.confidence > 0) is probable


async def test_tool_calls_are_asked_for_whole(server: StudentServer, connections: EndpointPools) -> None:
    """A stream would lack the log-probabilities of the tokens that the endpoint's parser swallows."""
    server.tokens, server.calls = [("", -0.1)], [CALL]
    answer = await student(server, connections).answer_until(with_tools(), 0.5)
    assert "stream" not in server.bodies[0]
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.arguments == '{"order": 5}'
    assert answer.confidence == pytest.approx(math.exp(-0.1))


async def test_tool_calls_in_pieces_are_joined(server: StudentServer, connections: EndpointPools) -> None:
    server.tokens, server.calls = [("let me see", -0.1)], [CALL, OTHER]
    answer = await student(server, connections, streamed="always").answer_until(with_tools(), 0.0)
    assert server.bodies[0]["stream"] is True
    assert [call.model_dump() for call in answer.message.tool_calls or ()] == [CALL, OTHER]
    assert answer.text == "let me see"


async def test_usage_that_is_not_reported_is_estimated(server: StudentServer, connections: EndpointPools) -> None:
    server.report_usage = False
    answer = await student(server, connections).answer_until(user_request("x"), 0.0)
    assert answer.usage.completion_tokens == 2
    assert answer.usage.prompt_tokens > 20


async def test_a_limit_of_the_callers_own_is_told(server: StudentServer, connections: EndpointPools) -> None:
    server.finish = "length"
    request = user_request("x").model_copy(update={"parameters": {"max_tokens": 2}})
    answer = await student(server, connections).answer_until(request, 0.0)
    assert answer.finish_reason == "length"
    assert server.bodies[0]["max_tokens"] == 2


async def test_an_adapter_that_is_gone_is_named(server: StudentServer, connections: EndpointPools) -> None:
    asking = student(server, connections)
    assert (await asking.answer_until(user_request("x"), 0.5)).text == "refund"
    server.behavior = "gone"
    with pytest.raises(StudentError, match="'triage@7' does not exist"):
        await asking.answer_until(user_request("x"), 0.5)


async def test_it_generates_and_has_its_endpoints_price(server: StudentServer, connections: EndpointPools) -> None:
    free = student(server, connections)
    paid = student(
        server,
        connections,
        usd_per_million_prompt_tokens="0.5",
        usd_per_million_cached_tokens="0.25",
        usd_per_million_completion_tokens="2",
    )
    assert isinstance(paid, GeneratingStudent)
    usage = (await paid.answer_until(user_request("x"), 0.0)).usage
    assert student_cost(paid, usage) == Decimal("0.000020")
    assert student_cost(paid, Usage()) is None
    assert student_cost(free, usage) is None
