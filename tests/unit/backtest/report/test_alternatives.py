"""What would save instead of a student, read from a log's calls one at a time."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.backtest_outcomes import MONDAY, PRICE, TASK, make_outcomes, make_recorded_call
from tests.support.chat_messages import user_request

from understudies.backtest.replay.schedule import schedule_calls
from understudies.backtest.report.alternatives import describe_alternatives, write_prompt
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.economics.alternatives import PricedCall, find_alternatives
from understudies.events import Request, Usage
from understudies.importers.call_spool import CallSpool
from understudies.importers.recorded_call import RecordedCall

TOOLS: tuple[Any, ...] = (
    {"type": "function", "function": {"name": "look_up", "parameters": {"limit": 1, "of": None}}},
)
COUNTED = Usage(prompt_tokens=4000, completion_tokens=10)


def chat(number: int, **changes: Any) -> RecordedCall:
    """A call that begins as all do, and ends as no other does."""
    request = user_request(f"{'You are a clerk. ' * 400}{number:04}").model_copy(update={"tools": TOOLS})
    return make_recorded_call(number, model="gpt-5", **{"request": request, "usage": COUNTED, **changes})


async def outcomes_of(calls: list[RecordedCall]) -> CallOutcomes:
    spool = CallSpool()
    timeline = [(MONDAY + place * timedelta(minutes=1), spool.put(call)) for place, call in enumerate(calls)]
    return await make_outcomes(schedule_calls(timeline, lambda _: PRICE, seed=7))


def text_of(request: Request) -> str:
    tools = request.model_dump_json(include={"tools"}, exclude_none=True)
    return "\n".join([tools, *(f"{message.role}: {message.text}" for message in request.messages)])


async def test_they_are_those_of_all_that_was_sent_tools_first() -> None:
    calls = [chat(number) for number in range(20)]
    priced = [
        PricedCall(MONDAY + place * timedelta(minutes=1), call.model, call.usage, text_of(call.request))
        for place, call in enumerate(calls)
    ]
    told = describe_alternatives(await outcomes_of(calls), TASK)
    assert told == {f"instead, {one.name}": one.sentence for one in find_alternatives(lambda: priced)}
    assert "instead, prompt caching" in told


async def test_tools_that_differ_in_a_type_alone_are_told_apart() -> None:
    other: Any = ({**TOOLS[0], "function": {**TOOLS[0]["function"], "parameters": {"limit": True, "of": None}}},)
    assert other == TOOLS
    for tools in (TOOLS, other, None, (), TOOLS):
        request = user_request("hello").model_copy(update={"tools": tools})
        assert write_prompt(request) == text_of(request)


async def test_other_tasks_do_not_count() -> None:
    counted = [chat(number, task="other") for number in range(5)]
    found = await outcomes_of([*counted, *(chat(number, usage=Usage()) for number in range(5))])
    assert describe_alternatives(found, TASK) == {"instead": "unknown: the log has no token counts"}
    assert "instead, the batch tier" in describe_alternatives(found, "other")


async def test_without_token_counts_no_request_is_read_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await outcomes_of([chat(number, usage=Usage()) for number in range(100)])

    def refuse(self: CallSpool, place: int, size: int) -> None:
        raise AssertionError("a call was read from disk")

    monkeypatch.setattr(CallSpool, "load", refuse)
    assert describe_alternatives(found, TASK) == {"instead": "unknown: the log has no token counts"}
    with pytest.raises(AssertionError, match="read from disk"):
        describe_alternatives(await outcomes_of([chat(0)]), TASK)
