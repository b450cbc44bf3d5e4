"""`understudies up` as its user meets it: it answers, records, ends cleanly, and says plainly what is wrong."""

import json
import urllib.request
from pathlib import Path

import openai
import pytest
from tests.support.commands import Command, openai_client, query_store, up_command
from tests.support.fake_teacher import FakeTeacher
from tests.support.tansu_broker import TansuBroker, read_events

from understudies.events import INVOCATIONS, Invocation

KEY = "sk-proj-of-the-agent-1234567890"
PROMPT = "where is my card, quoth the raven"


def body_of(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url, timeout=20) as response:
        found: dict[str, str] = json.loads(response.read())
    return found


async def test_an_agent_is_answered_and_recorded_and_the_end_is_clean(tmp_path: Path) -> None:
    async with FakeTeacher() as teacher, up_command(tmp_path, teacher.url) as running:
        url = await running.wait_router_url()
        assert body_of(url.replace("/v1", "/healthz")) == {"status": "ok"}
        assert body_of(url.replace("/v1", "/readyz"))["status"] == "ready"
        async with openai_client(url, KEY) as agent:
            for number in range(3):
                answer = await agent.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": f"{PROMPT} {number}"}],
                    extra_headers={"x-understudies-task": "triage"},
                )
                assert answer.choices[0].message.content == "teacher's answer"
        assert await running.terminate() == 0
    assert {headers["authorization"] for headers in teacher.headers} == {f"Bearer {KEY}"}
    rows = await query_store(tmp_path, "SELECT task, served_by, request FROM invocations FINAL ORDER BY at")
    assert [(row["task"], row["served_by"]) for row in rows] == [("triage", "teacher")] * 3
    assert [PROMPT in row["request"] for row in rows] == [True] * 3
    assert len([line for line in running.lines if "phase_log" not in line]) == 4, running.output
    assert "stopped" in running.lines[-1]
    for secret in (KEY, PROMPT, "teacher's answer"):
        assert secret not in running.output


async def test_a_broker_and_a_store_of_ones_own_are_used_and_named(tmp_path: Path) -> None:
    store = f"chdb://{tmp_path / 'elsewhere' / 'store'}"
    async with FakeTeacher() as teacher, TansuBroker() as broker:
        env = {"UNDERSTUDIES_BUS_BOOTSTRAP": broker.bootstrap, "UNDERSTUDIES_STORE_URL": store}
        async with up_command(
            tmp_path / "data", teacher.url, env={**env, "UNDERSTUDIES_BUS_GROUP_PREFIX": ""}
        ) as running:
            await running.wait_for_line(f"data in .*, broker {broker.bootstrap}, store {store}")
            async with openai_client(await running.wait_router_url()) as agent:
                await agent.chat.completions.create(model="m", messages=[{"role": "user", "content": PROMPT}])
            [event] = await read_events(broker.bootstrap, INVOCATIONS, 1)
            assert await running.terminate() == 0
    assert isinstance(event, Invocation)
    assert event.served_by == "teacher"
    rows = await query_store(tmp_path / "elsewhere", "SELECT id FROM invocations FINAL")
    assert [row["id"] for row in rows] == [event.id]
    assert not (tmp_path / "data" / "store").exists()


async def test_a_teacher_that_is_away_fails_the_call_and_not_the_router(tmp_path: Path) -> None:
    async with up_command(tmp_path, "http://127.0.0.1:1/v1") as running:
        async with openai_client(await running.wait_router_url()) as agent:
            with pytest.raises(openai.InternalServerError, match="the teacher cannot be reached"):
                await agent.chat.completions.create(model="m", messages=[{"role": "user", "content": PROMPT}])
        assert await running.terminate() == 0
    (row,) = await query_store(tmp_path, "SELECT served_by, error FROM invocations FINAL")
    assert row["served_by"] == "none"
    assert PROMPT not in running.output


async def test_a_second_one_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with up_command(tmp_path, "http://127.0.0.1:1/v1") as first:
        await first.wait_router_url()
        async with up_command(tmp_path, "http://127.0.0.1:1/v1") as second:
            assert await second.wait_exit() == 2
        assert f"in use by another `understudies up`, process {first.process.pid}" in second.output
        assert "--data" in second.output
        assert len(second.lines) == 1


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with up_command(tmp_path / "a", "http://127.0.0.1:1/v1") as first:
        port = (await first.wait_router_url()).removesuffix("/v1").rpartition(":")[2]
        async with up_command(tmp_path / "b", "http://127.0.0.1:1/v1", "--port", port) as second:
            assert await second.wait_exit() == 2
        assert f"cannot listen on 127.0.0.1:{port}" in second.output
        assert len(second.lines) == 1, second.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--teacher-url", "api.openai.com"], "--teacher-url 'api.openai.com' is not an HTTP URL"),
        (["--teacher-url", "http://t/v1", "--data", "{file}"], "cannot write to the data folder"),
        (["--teacher-url", "http://t/v1", "--data", "/proc/here"], "cannot write to the data folder '/proc/here'"),
        (["--teacher-url", "http://t/v1", "--rules", "{file}"], "cannot read the rules in"),
        (["--teacher-url", "http://t/v1", "--rules", "{rules}"], "tasks.triage.min_agreement"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "file").write_text("no rules here")
    (tmp_path / "rules").write_text("[tasks.triage]\nmin_agreement = 2\n")
    places = {"file": str(tmp_path / "file"), "rules": str(tmp_path / "rules")}
    filled = [argument.format(**places) for argument in arguments]
    async with Command("up", "--port", "0", "--data", str(tmp_path / "data"), *filled) as running:
        assert await running.wait_exit() == 2
    assert said in running.output
    assert len(running.lines) == 1
