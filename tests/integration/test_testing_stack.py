"""What users of the product import for tests of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.commands import openai_client

from understudies.events import INVOCATIONS, Invocation
from understudies.testing.stack import SERVICES, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
RULES = "[tasks.bounded]\ndaily_budget_usd = 1000\n"


def answer(text: str) -> str:
    return "refund" if "money back" in text else "other"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("stack") / "made", teacher=answer, rules=RULES) as stack:
        yield stack


async def test_an_agents_call_is_answered_and_recorded(stack: Stack) -> None:
    async with openai_client(stack.url) as agent:
        answered = await agent.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": [{"type": "text", "text": "I want my money back"}]}],
            extra_headers={"x-understudies-task": "triage"},
        )
    assert answered.choices[0].message.content == "refund"
    (call,) = await stack.wait_events(INVOCATIONS, 1)
    assert isinstance(call, Invocation)
    assert (call.task, call.served_by, stack.teacher.asked) == ("triage", "teacher", 1)
    assert call.cost_usd > 0


async def test_a_service_can_be_killed_and_started_again(stack: Stack) -> None:
    budget = stack.processes["budget"]
    await budget.kill()
    assert not budget.is_running
    await stack.start_services("budget")
    assert budget.output.count("budget runs: ") == 2
    with pytest.raises(RuntimeError, match="budget runs already"):
        await budget.start()


async def test_one_that_cannot_start_says_why(stack: Stack, tmp_path: Path) -> None:
    other = stack.make_process("budget", data=stack.folder / "budget")
    await other.start()
    with pytest.raises(RuntimeError, match=r"ended before it was ready; its output:\n.*in use by another"):
        await other.wait_ready()


async def test_all_services_stop_cleanly(stack: Stack) -> None:
    assert await stack.stop() == dict.fromkeys(SERVICES, 0)
