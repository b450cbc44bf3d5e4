"""`understudies steer` beside a running `up`: what is decided holds at once, and after a kill."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest
from tests.e2e.test_up_restart import PATIENT, REFUND, ask, book
from tests.e2e.test_up_status import failure, fetch_page, status
from tests.support.commands import TIMEOUT_S, Command, openai_client, up_command, wait_until
from tests.support.datasets import TASK
from tests.support.fake_teacher import FakeTeacher
from tests.support.promoted_student import STUDENT, write_promoted_student
from tests.support.tansu_broker import TansuBroker, read_events

from understudies.events import PROMOTIONS, Promotion, Steering

WHY = "wrong answers for desk global"


async def steer(action: str, data: Path, *more: str, task: str = TASK) -> str:
    async with Command("steer", action, task, "--data", data, "--why", WHY, "--by", "ada", *more) as command:
        assert await command.wait_exit() == 0, command.output
    return command.output


async def refused(action: str, data: Path, *more: str, task: str = TASK) -> str:
    async with Command("steer", action, task, "--data", data, "--why", WHY, *more) as command:
        assert await command.wait_exit() == 2, command.output
    return " ".join(command.output.split())


def readiness(url: str) -> Any:
    with urlopen(f"{url}/readyz") as answer:
        return json.load(answer)


async def wait_for_tasks_served(url: str, tasks: list[str]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while (await asyncio.to_thread(readiness, url))["tasks_served"] != tasks:
            pass


async def wait_for_phase(data: Path, phase: str) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        while (await status(data))["tasks"][0]["phase"] != phase:
            pass
    return (await status(data))["tasks"][0]


async def test_a_pause_holds_at_once_and_after_a_kill_until_it_is_resumed(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as first:
            url = (await first.wait_router_url()).removesuffix("/v1")
            async with openai_client(f"{url}/v1") as agent:
                assert await ask(agent, f"{REFUND} 0") == "student"
                assert f"pause {TASK}: published for ada" in await steer("pause", tmp_path)
                await wait_for_tasks_served(url, [])
                assert await ask(agent, f"{REFUND} 1") == "teacher"
            await first.kill()
        async with up_command(tmp_path, teacher.url, env=PATIENT) as second:
            url = (await second.wait_router_url()).removesuffix("/v1")
            async with openai_client(f"{url}/v1") as agent:
                assert await ask(agent, f"{REFUND} 1") == "teacher"
                standing = await wait_for_phase(tmp_path, "paused")
                (decided,) = standing["steered"]
                assert (decided["what"], decided["by"], decided["why"]) == ("paused", "ada", WHY)
                await steer("resume", tmp_path)
                await wait_for_tasks_served(url, [TASK])
                assert await ask(agent, f"{REFUND} 2") == "student"
            assert (await wait_for_phase(tmp_path, "serving"))["steered"] == []
            assert await second.terminate() == 0
        story = await status(tmp_path, TASK)
    told = [event for event in story["events"] if event["what"].startswith("by hand: ")]
    assert [(event["what"], event["text"]) for event in told] == [
        ("by hand: pause", f"ada: {WHY}"),
        ("by hand: resume", f"ada: {WHY}"),
    ]
    assert "Traceback" not in first.output + second.output


async def test_a_demotion_is_decided_by_the_budget_and_survives_a_restart(tmp_path: Path) -> None:
    await write_promoted_student(tmp_path)
    async with FakeTeacher("refund") as teacher:
        async with up_command(tmp_path, teacher.url, env=PATIENT) as first:
            url = (await first.wait_router_url()).removesuffix("/v1")
            # The budget knows the student once it has read what was in force.
            await first.wait_for_line(rf"task {TASK}: serving")
            assert f"{TASK}@7" in await refused("retire", tmp_path, "--student", f"{TASK}@7")
            assert f"demote {TASK}, {STUDENT}: published for ada" in await steer("demote", tmp_path)
            await wait_for_tasks_served(url, [])
            await wait_until(lambda: book(tmp_path)["students"][0]["story"]["stage"] == "demoted")
            assert "no student of" in await refused("pin", tmp_path)
            assert await first.terminate() == 0
        assert "no `understudies up` runs on" in await refused("pause", tmp_path)
        async with up_command(tmp_path, teacher.url, env=PATIENT) as second:
            url = (await second.wait_router_url()).removesuffix("/v1")
            async with openai_client(f"{url}/v1") as agent:
                assert await ask(agent, f"{REFUND} 0") == "teacher"
            story = await status(tmp_path, TASK)
            assert await second.terminate() == 0
    assert story["standing"]["stage"] == "demoted"
    assert ("demoted", f"by ada: {WHY}") in [(event["what"], event["text"]) for event in story["events"]]


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def send_form(url: str, origin: str, **fields: str) -> tuple[int, str]:
    """The status and where it leads to."""
    request = Request(f"{url}/steering", data=urlencode(fields).encode(), headers={"origin": origin})
    with pytest.raises(HTTPError) as caught:
        build_opener(NoRedirects).open(request)
    with caught.value as error:
        return error.code, error.headers["location"] or error.read().decode()


async def test_the_console_takes_decisions_from_its_own_pages_alone(tmp_path: Path) -> None:
    async with FakeTeacher("refund") as teacher, up_command(tmp_path, teacher.url) as running:
        url = (await running.wait_router_url()).removesuffix("/v1")
        async with openai_client(f"{url}/v1") as agent:
            await ask(agent, "a poem", "poetry & prose")
        decided = {"task": "poetry & prose", "action": "pause", "by": "ada", "why": "<b>wrong</b>", "student": ""}
        while "poetry &amp; prose" not in fetch_page(url)[0]:
            await running.wait_router_url()
        assert send_form(url, "http://evil.example", **decided)[0] == 403
        assert send_form(url, "null", **decided)[0] == 403
        assert send_form(url, url, **{**decided, "why": " "})[0] == 400
        assert send_form(url, url, **{**decided, "task": "nothing"})[0] == 404
        assert send_form(url, url, **{**decided, "action": "resume"})[0] == 409
        assert send_form(url, url, **decided) == (303, "/task?name=poetry+%26+prose")
        while "paused by ada" not in (page := fetch_page(f"{url}/task?name=poetry%20%26%20prose")[0]):
            await running.wait_router_url()
        assert "&lt;b&gt;wrong&lt;/b&gt;" in page
        assert "use POST" in failure(f"{url}/steering", 405)


async def test_with_a_key_nobody_decides_without_it(tmp_path: Path) -> None:
    async with (
        FakeTeacher("refund") as teacher,
        up_command(tmp_path, teacher.url, env={"UNDERSTUDIES_STATUS_KEY": "secret"}) as running,
    ):
        url = (await running.wait_router_url()).removesuffix("/v1")
        body = json.dumps({"task": "poetry", "action": "pause", "by": "eve", "why": "for fun"}).encode()
        as_json = {"content-type": "application/json"}
        assert "UNDERSTUDIES_STATUS_KEY" in failure(Request(f"{url}/steering", data=body, headers=as_json), 401)
        keyed = Request(f"{url}/steering", data=body, headers={**as_json, "authorization": "Bearer secret"})
        assert "no call of a task" in failure(keyed, 404)
        assert "no call of a task 'poetry'" in await refused("pause", tmp_path, task="poetry")


async def test_with_a_key_for_steering_a_reader_decides_nothing(tmp_path: Path) -> None:
    keys = {"UNDERSTUDIES_STATUS_KEY": "reader", "UNDERSTUDIES_STATUS_STEERING_KEY": "writer"}
    async with FakeTeacher("refund") as teacher, up_command(tmp_path, teacher.url, env=keys) as running:
        url = (await running.wait_router_url()).removesuffix("/v1")
        at, why = ("--url", url), ("--why", WHY)
        for env, told in (
            ({"UNDERSTUDIES_STATUS_KEY": "reader"}, "set UNDERSTUDIES_STATUS_STEERING_KEY"),
            ({"UNDERSTUDIES_STATUS_STEERING_KEY": "writer"}, "no call of a task"),
        ):
            async with Command("status", *at, env=env) as command:
                assert await command.wait_exit() == 0, command.output
            async with Command("steer", "pause", "poetry", *at, *why, env=env) as command:
                assert await command.wait_exit() == 2
            assert told in " ".join(command.output.split())


async def test_of_single_services_a_decision_is_published_to_the_broker(tmp_path: Path) -> None:
    async with TansuBroker() as broker:
        at = ("--bootstrap", broker.bootstrap)
        assert "name the --student" in await refused("approve", tmp_path, *at)
        assert "not both" in await refused("pause", tmp_path, *at, "--url", "http://127.0.0.1:9")
        await steer("demote", tmp_path, *at, "--student", STUDENT)
        (event,) = await read_events(broker.bootstrap, PROMOTIONS, 1)
    assert isinstance(event, Promotion)
    assert event.steering == Steering(action="demote", by="ada", student=STUDENT)
    assert (event.task, event.reason) == (TASK, WHY)
