"""`understudies up` again on its folder: what was in force is in force, and nothing counts twice."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.support.commands import Command, openai_client, query_store, up_command, wait_until
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import STUDENT, write_promoted_student

REFUND = "money back for order number"
# A machine that is busy with other tests may take longer to load a student than a caller would wait for it.
# And a student that was never judged on such a day would be taken back to the canary share, at some moment of the test.
PATIENT = {"UNDERSTUDIES_ROUTER_STUDENT_TIMEOUT_S": "60", "UNDERSTUDIES_BUDGET_CANARY": "[1.0]"}
COUNTED = """
SELECT
    countIf(origin = 'live') AS calls,
    countIf(origin = 'live' AND served_by = 'student') AS served,
    countIf(origin = 'audit') AS audits,
    sum(cost_usd) AS cost
FROM invocations FINAL WHERE task = {task:String}
"""
JUDGED = "SELECT count() AS n, uniqExact(invocation) AS calls FROM verdicts FINAL WHERE phase = 'audit'"

UNJUDGED = """
SELECT count() AS n FROM invocations FINAL
WHERE origin = 'audit' AND audits IN (SELECT id FROM invocations) AND audits NOT IN (SELECT invocation FROM verdicts)
"""


async def ask(agent: AsyncOpenAI, text: str, task: str = TASK) -> str:
    """Who answered."""
    raw = await agent.chat.completions.with_raw_response.create(
        model="gpt-4o-mini",
        temperature=0,
        messages=[{"role": "system", "content": "Name the intent."}, {"role": "user", "content": text}],
        extra_headers={"x-understudies-task": task},
    )
    return raw.headers["x-understudies-served-by"]


def snapshot(data: Path, service: str) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((data / "snapshots" / f"{service}.json").read_bytes())["state"]
    return state


def book(data: Path) -> dict[str, Any]:
    (found,) = [saved for saved in snapshot(data, "budget")["books"] if saved["task"] == TASK]
    return dict(found)


def trial(data: Path) -> dict[str, Any]:
    (found,) = snapshot(data, "evaluator")["trials"]
    assert found["story"]["student"] == STUDENT
    return dict(found)


def is_held(data: Path) -> bool:
    """Whether the snapshots know the decision to hold the student, as it was not judged on such days."""
    (student,) = book(data)["students"]
    return (
        trial(data)["hold_untold"] is False and (student["decision"] or {}).get("evidence", {}).get("held") is not None
    )


async def end_by_signal(running: Command, data: Path, calls: int) -> None:
    assert await running.terminate() == 0


async def end_by_kill(running: Command, data: Path, calls: int) -> None:
    """Once the snapshots have some calls, in the middle of more that they have not."""
    async with openai_client(await running.wait_router_url()) as agent:
        await wait_until(
            lambda: (data / "snapshots" / "budget.json").exists() and book(data)["ledger"]["calls"] >= calls
        )
        for extra in range(10):
            await ask(agent, f"{REFUND} {1000 + extra}")
    await running.kill()


@pytest.mark.parametrize("end", [end_by_signal, end_by_kill])
async def test_what_was_in_force_is_in_force_again(
    tmp_path: Path, end: Callable[[Command, Path, int], Awaitable[None]]
) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as first:
            async with openai_client(await first.wait_router_url()) as agent:
                served = [await ask(agent, f"{REFUND} {number}") for number in range(12)]
                # They are near copies: after two of them the teacher confirms what the student says, twice.
                assert served == ["student"] * 2 + ["teacher"] * 2 + ["student"] * 8
                assert await ask(agent, "write a poem", "poetry") == "teacher"
            await end(first, tmp_path, 12)
        async with up_command(tmp_path, teacher.url, env=PATIENT) as second:
            async with openai_client(await second.wait_router_url()) as agent:
                assert await ask(agent, f"{REFUND} 77") == "student"
            # No call of such a day was judged: the look that says so, and its decision, come with a tick.
            await wait_until(lambda: is_held(tmp_path))
            assert await second.terminate() == 0
        kept = book(tmp_path), trial(tmp_path)
        async with up_command(tmp_path, teacher.url, env=PATIENT) as third:
            await third.wait_router_url()
            assert await third.terminate() == 0
    assert (book(tmp_path), trial(tmp_path)) == kept
    for run in (first, second, third):
        assert "Traceback" not in run.output
        assert "ERROR" not in run.output
    await agrees_with_the_store(tmp_path, *kept)


async def agrees_with_the_store(data: Path, kept: dict[str, Any], tried: dict[str, Any]) -> None:
    (there,) = await query_store(data, COUNTED, task=TASK)
    ledger = kept["ledger"]
    assert {name: ledger[name] for name in ("calls", "served", "audits")} == {
        name: there[name] for name in ("calls", "served", "audits")
    }
    assert sum(float(ledger[name]) for name in ("teacher", "students", "audit")) == pytest.approx(float(there["cost"]))
    (judged,) = await query_store(data, JUDGED)
    (student,) = kept["students"]
    assert judged["n"] == judged["calls"] == student["audited"] == tried["audited"]
    (unjudged,) = await query_store(data, UNJUDGED)
    # What the evaluator knew to wait for an audit ends with it: a few audits find no call to judge.
    assert unjudged["n"] <= 2
    assert tried["drift"]["contract"]["n"] == judged["n"] >= 10
