"""The teacher that answers from the record."""

from decimal import Decimal

import pytest
from tests.support.backtest_outcomes import hourly_calls, hours_after_monday, make_recorded_call

from understudies.backtest.replay.replay_teacher import ReplayTeacher
from understudies.events import Usage
from understudies.router.call import Call

TEACHER = ReplayTeacher(
    {
        "a": make_recorded_call(0, "refund", usage=Usage(prompt_tokens=9, completion_tokens=1)),
        "b": make_recorded_call(1, model=""),
    },
    {"a": Decimal("0.03"), "b": Decimal("0.04")},
)


def call(name: str) -> Call:
    return Call(id=name, at=hours_after_monday(0), task="triage", request=make_recorded_call().request, sample=0.5)


async def test_a_call_gets_its_recorded_answer_at_its_price() -> None:
    answer = await TEACHER.ask(call("a"))
    assert answer.response.message.text == "refund"
    assert (answer.model, answer.cost_usd, answer.latency_ms) == ("teacher-1", Decimal("0.03"), 250.0)
    assert answer.usage.prompt_tokens == 9


@pytest.mark.parametrize("fresh", [False, True])
async def test_asked_again_it_says_the_same_at_the_same_price(fresh: bool) -> None:
    assert await TEACHER.ask(call("a"), fresh=fresh) == await TEACHER.ask(call("a"))


async def test_a_model_without_a_name_is_the_teacher() -> None:
    assert (await TEACHER.ask(call("b"))).model == "teacher"


async def test_it_knows_the_call_that_it_was_told_of_last() -> None:
    one, other = hourly_calls(2)
    teacher = ReplayTeacher()
    teacher.expect(one)
    teacher.expect(other)
    answer = await teacher.ask(call(other.id))
    assert (answer.response, answer.cost_usd) == (other.call.response, other.price)
    with pytest.raises(KeyError):
        await teacher.ask(call(one.id))


async def test_a_call_that_is_not_in_the_record_is_an_error() -> None:
    with pytest.raises(KeyError, match="c"):
        await TEACHER.ask(call("c"))
