"""Single services tell how they stand, and `understudies status` joins what they know."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.e2e.test_up_restart import ask
from tests.support.commands import TIMEOUT_S, Command, openai_client, wait_until
from tests.support.fake_teacher import FakeTeacher
from tests.support.tansu_broker import TansuBroker

TOLD = r"tells how it stands at (http://\S+)/status"


async def status(*arguments: str) -> Any:
    async with Command("status", "--json", *arguments) as command:
        assert await command.wait_exit() == 0, command.output
    return json.loads(command.output)


def fetch(url: str) -> str:
    with urlopen(url) as answer:
        return str(answer.read().decode())


def refused(url: str) -> int:
    try:
        fetch(url)
    except HTTPError as error:
        return error.code
    return 0


async def test_services_by_url_are_one_status(tmp_path: Path) -> None:
    async with FakeTeacher("refund") as teacher, TansuBroker() as broker, AsyncExitStack() as opened:
        env = {
            "UNDERSTUDIES_BUS_GROUP_PREFIX": "",
            "UNDERSTUDIES_BUS_BOOTSTRAP": broker.bootstrap,
            "UNDERSTUDIES_ADMIN_PORT": "0",
            "UNDERSTUDIES_ROUTER_PORT": "0",
            "UNDERSTUDIES_ROUTER_TEACHER_URL": teacher.url,
        }
        commands = {
            name: await opened.enter_async_context(Command(name, "--data", tmp_path / name, env=env))
            for name in ("budget", "evaluator", "observer", "trainer", "router")
        }
        urls = {
            name: (await commands[name].wait_for_line(TOLD))[1]
            for name in ("budget", "evaluator", "observer", "trainer")
        }
        # The observer tells nothing right before its tables are migrated.
        await wait_until(lambda: not any(refused(f"{url}/readyz") for url in urls.values()))
        router = (await commands["router"].wait_for_line(r"listens on (http://\S+)/v1"))[1]
        async with openai_client(f"{router}/v1") as agent:
            assert await ask(agent, "a poem", "poetry & prose") == "teacher"
        options = [word for url in (*urls.values(), router) for word in ("--url", url)]
        async with asyncio.timeout(TIMEOUT_S):
            while not (found := await status(*options))["tasks"] or not found["tasks"][0]["today"]["calls"]:
                pass
        (task,) = found["tasks"]
        assert (task["task"], task["phase"], task["examples"]) == ("poetry & prose", "recording", 1)
        assert "is not known" not in found["source"]
        story = await status(*options, "poetry & prose")
        assert story["events"][0]["what"] == "first call"
        alone = await status("--url", urls["budget"])
        assert alone["tasks"][0]["today"]["calls"] == 0
        assert "no observer was asked" in alone["source"]
        for name, url in urls.items():
            assert json.loads(fetch(f"{url}/readyz")) == {"status": "ready", "service": name}
            assert json.loads(fetch(f"{url}/livez"))["status"] == "ok"
            metrics = fetch(f"{url}/metrics")
            assert f'understudies_service_ready{{service="{name}"}} 1.0' in metrics
            assert f'understudies_consumer_lag_events{{service="{name}"}}' in metrics
            assert refused(f"{url}/nothing") == 404
        assert 'understudies_task_calls_total{task="poetry & prose"} 1.0' in fetch(f"{urls['budget']}/metrics")
        async with Command("status", "--url", urls["observer"]) as command:
            assert await command.wait_exit() == 2
        assert "none of these is the budget service" in command.output
        for command in commands.values():
            assert await command.terminate() == 0, command.output
            assert "Traceback" not in command.output
