"""`understudies import` and `up --learn`: a recorded log trains at once, and counts as no evidence."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from tests.e2e.test_up_restart import book
from tests.e2e.test_up_status import status
from tests.support.call_logs import LABELS, build_record
from tests.support.commands import Command, openai_client, query_store, up_command, wait_until
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher

CALLS = 600
TRAINED = "SELECT student, stage, evidence FROM promotions FINAL WHERE stage = 'trained'"
COUNTED = "SELECT count() AS calls, countIf(training_only) AS old, uniqExact(id) AS ids FROM invocations FINAL"
ADDRESSES = "SELECT count() AS n FROM invocations WHERE request LIKE '%@example%'"
JUDGED = "SELECT count() AS n FROM verdicts"


def write_recorded(path: Path, calls: int = CALLS) -> Path:
    """Calls of the last ten days, each with another input, of which words tell the label."""
    rng = random.Random(3)
    first = datetime.now(UTC) - timedelta(days=10)
    lines = []
    for number in range(calls):
        label = rng.choice(LABELS)
        at = first + timedelta(days=9.9) * (number / calls)
        user = f"my {label} of order {number}, please, from ada{number}@example.com"
        lines.append(orjson.dumps(build_record(TASK, user, label, at, model="gpt-4o", cost_usd=0.03)))
    lines.insert(7, b'{"no": "call"}')
    path.write_bytes(b"\n".join(lines))
    return path


async def run(*arguments: str | Path) -> str:
    async with Command(*arguments) as command:
        assert await command.wait_exit() == 0, command.output
    return command.output


async def test_up_with_a_log_trains_a_student_at_once_and_waits_for_evidence(tmp_path: Path) -> None:
    log, data = write_recorded(tmp_path / "calls.jsonl"), tmp_path / "data"
    async with FakeTeacher("refund") as teacher:
        async with up_command(data, teacher.url, "--learn", log, env={"UNDERSTUDIES_TRAINER_ENCODER": "0"}) as running:
            await running.wait_for_line(rf"task {TASK}: trial")
            await wait_until(lambda: book(data)["students"][0]["story"]["stage"] == "trained")
            assert f"imported {CALLS} calls; 0 were there already" in running.output
            assert "1 line skipped" in running.output
            again = await run("import", log, "--data", data)
            assert f"imported 0 calls; {CALLS} were there already" in again
            await running.kill()
        async with up_command(data, teacher.url, "--learn", log) as second:
            await second.wait_for_line(f"imported 0 calls; {CALLS} were there already")
            (standing,) = (await status(data))["tasks"]
            assert await second.terminate() == 0
    assert standing["examples"] == CALLS
    assert standing["to_date"]["calls"] == standing["today"]["calls"] == 0
    assert standing["teacher_price"]["usd"] == "0.03"
    assert book(data)["ledger"]["imported_calls"] == CALLS
    assert (await query_store(data, COUNTED))[0] == {"calls": CALLS, "old": CALLS, "ids": CALLS}
    assert (await query_store(data, JUDGED))[0]["n"] == 0
    assert (await query_store(data, ADDRESSES))[0]["n"] == 0
    assert "Traceback" not in running.output + second.output


async def test_a_log_imported_before_the_first_start_is_what_live_mode_begins_with(tmp_path: Path) -> None:
    log, data = write_recorded(tmp_path / "calls.jsonl", 100), tmp_path / "data"
    assert "imported 100 calls" in await run("import", log, "--data", data)
    assert "100 were there already" in await run("import", log, "--data", data)
    async with FakeTeacher("refund") as teacher, up_command(data, teacher.url) as running:
        async with openai_client(await running.wait_router_url()) as agent:
            await agent.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
        await running.wait_for_line(rf"task {TASK}: recording")
        (standing,) = [task for task in (await status(data))["tasks"] if task["task"] == TASK]
        assert await running.terminate() == 0
    assert (standing["examples"], standing["weekly_calls"]) == (100, 71)
    assert standing["to_date"]["calls"] == 0


async def test_a_log_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    for arguments in (("import",), ("up", "--teacher-url", "http://127.0.0.1:9/v1", "--learn")):
        async with Command(*arguments, tmp_path / "none.jsonl", "--data", tmp_path / "data") as command:
            assert await command.wait_exit() == 2
        assert "none.jsonl" in command.output
        assert not (tmp_path / "data").exists()
