"""`understudies status` beside a running `up`, after its end, and after its sudden end."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from openai import AsyncOpenAI
from tests.e2e.test_up_restart import PATIENT, REFUND, ask, book
from tests.support.commands import Command, openai_client, up_command, wait_until
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import STUDENT, write_promoted_student


async def status(data: Path, *more: str) -> Any:
    """What the command prints as JSON."""
    async with Command("status", "--data", data, "--json", *more) as command:
        assert await command.wait_exit() == 0, command.output
    return json.loads(command.output)


async def refused(*arguments: str | Path) -> str:
    async with Command("status", *arguments) as command:
        assert await command.wait_exit() == 2
    return command.output


def failure(request: str | Request, status: int) -> str:
    """What a request that fails with a status is told."""
    with pytest.raises(HTTPError, match=str(status)) as caught:
        urlopen(request)
    with caught.value as error:
        return error.read().decode()


def authorized(url: str, key: str) -> Any:
    with urlopen(Request(url, headers={"authorization": f"Bearer {key}"})) as answer:
        return json.load(answer)


def at_rest(overview: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks without what depends on the moment."""
    return [{name: value for name, value in task.items() if name != "waits_for"} for task in overview["tasks"]]


async def call_a_student_and_a_new_task(agent: AsyncOpenAI) -> None:
    assert [await ask(agent, f"{REFUND} {number}") for number in range(2)] == ["student"] * 2
    for number in range(3):
        assert await ask(agent, f"write poem {number}", "poetry") == "teacher"


async def test_the_status_is_the_same_beside_a_running_process_and_after_it(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as running:
            async with openai_client(await running.wait_router_url()) as agent:
                await call_a_student_and_a_new_task(agent)
            await running.wait_for_line(r"task poetry: recording; waits for examples: \d of the 400 needed")
            await wait_until(lambda: book(tmp_path)["ledger"]["audits"] == 2)
            beside = await status(tmp_path)
            story = await status(tmp_path, TASK)
            assert "lists all tasks" in await refused("--data", tmp_path, "nothing-of-the-kind")
            assert await running.terminate() == 0
        after = await status(tmp_path)
        assert "Traceback" not in running.output
    assert "running process" in beside["source"]
    assert "has stopped" in after["source"]
    poetry, triage = at_rest(beside)
    assert (poetry["task"], poetry["phase"], poetry["examples"], poetry["needed"]) == ("poetry", "recording", 3, 400)
    assert poetry["teacher_price"]["source"].startswith("price list, gpt-4o-mini")
    assert (triage["phase"], triage["student"], triage["share"]) == ("serving", STUDENT, 1.0)
    assert triage["today"] == {"calls": 2, "served": 2}
    assert triage["last_decision"]["what"] in ("promoted", "gate: promote")
    assert at_rest(after)[0] == poetry
    assert [event["what"].partition(" ")[0] for event in story["events"]][:6] == [
        "first",
        "authorised",
        "collected",
        "trained",
        "qualified",
        "promoted",
    ]
    assert not (tmp_path / "up.json").exists()


async def test_after_a_kill_what_was_stored_since_the_snapshot_counts_once(tmp_path: Path) -> None:
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as running:
            async with openai_client(await running.wait_router_url()) as agent:
                for number in range(5):
                    await ask(agent, f"{REFUND} {number}")
            while [task["today"]["calls"] for task in (await status(tmp_path))["tasks"]] != [5]:
                await running.wait_router_url()
            await wait_until((tmp_path / "snapshots" / "budget.json").exists)
            await running.kill()
        (task,) = (await status(tmp_path))["tasks"]
        (tmp_path / "snapshots" / "budget.json").unlink()
        (replayed,) = (await status(tmp_path))["tasks"]
    assert (task["to_date"], task["examples"]) == ({"calls": 5, "served": 0}, 5)
    assert (replayed["to_date"], replayed["examples"]) == (task["to_date"], task["examples"])


async def test_on_every_address_the_status_needs_a_key(tmp_path: Path) -> None:
    async with (
        FakeTeacher("refund") as teacher,
        up_command(tmp_path, teacher.url, "--host", "0.0.0.0", env={"UNDERSTUDIES_STATUS_KEY": "secret"}) as running,
    ):
        await running.wait_router_url()
        url = (await running.wait_for_line(r"router listens on http://\S+:(\d+)/v1"))[1]
        base = f"http://127.0.0.1:{url}"
        assert "UNDERSTUDIES_STATUS_KEY" in failure(f"{base}/status", 401)
        assert authorized(f"{base}/status", "secret")["tasks"] == []
        assert "set UNDERSTUDIES_STATUS_KEY" in await refused("--url", base)
        async with Command("status", "--data", tmp_path) as command:
            assert await command.wait_exit() == 0
        assert "No call of any task was recorded yet" in command.output


async def test_it_is_watched_from_the_folder_of_a_stopped_process_through_its_start(tmp_path: Path) -> None:
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url) as running:
            await running.wait_router_url()
            assert await running.terminate() == 0
        async with Command("status", "--data", tmp_path, "--json", "--watch") as watching:
            await watching.wait_for_line("has stopped")
            async with up_command(tmp_path, teacher.url) as running:
                await watching.wait_for_line("running process")
                assert await running.terminate() == 0
            await watching.kill()


async def test_a_folder_without_data_is_told_and_not_made(tmp_path: Path) -> None:
    assert "name its folder with --data, or its --url" in await refused("--data", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def fetch_page(url: str, password: str = "") -> tuple[str, dict[str, str]]:
    headers = {"authorization": f"Basic {b64encode(f'me:{password}'.encode()).decode()}"} if password else {}
    with urlopen(Request(url, headers=headers)) as answer:
        return answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}


async def test_the_console_shows_the_tasks_to_this_machine_alone(tmp_path: Path) -> None:
    async with FakeTeacher("refund") as teacher, up_command(tmp_path, teacher.url) as running:
        url = (await running.wait_router_url()).removesuffix("/v1")
        async with openai_client(f"{url}/v1") as agent:
            await ask(agent, f"{REFUND} 1", "poetry & prose")
        while "poetry &amp; prose" not in (page := fetch_page(url))[0]:
            await running.wait_router_url()
        assert page[1]["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page[1]["content-security-policy"]
        assert "first call" in fetch_page(f"{url}/task?name=poetry%20%26%20prose")[0]
        assert "no call of a task" in failure(f"{url}/task?name=nothing", 404)
        assert "UNDERSTUDIES_STATUS_KEY" in failure(Request(url, headers={"host": "rebound.example"}), 403)
        assert "use GET" in failure(Request(url, data=b"{}"), 405)


async def test_with_a_key_a_browser_asks_for_it(tmp_path: Path) -> None:
    async with (
        FakeTeacher("refund") as teacher,
        up_command(tmp_path, teacher.url, env={"UNDERSTUDIES_STATUS_KEY": "secret"}) as running,
    ):
        url = (await running.wait_router_url()).removesuffix("/v1")
        assert "UNDERSTUDIES_STATUS_KEY" in failure(url, 401)
        assert "No call was recorded yet" in fetch_page(url, "secret")[0]
