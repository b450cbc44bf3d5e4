"""`understudies import --bootstrap`: a recorded log into single services, by their broker and their store."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.e2e.test_up_import import write_recorded
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.commands import TIMEOUT_S, Command
from tests.support.datasets import TASK
from tests.support.tansu_broker import TansuBroker

CALLS = 60
TOLD = r"tells how it stands at (http://\S+)/status"


async def run(*arguments: str | Path, env: dict[str, str], code: int = 0) -> str:
    async with Command(*arguments, env=env) as command:
        assert await command.wait_exit() == code, command.output
    assert "Traceback" not in command.output
    return command.output


async def wait_for_task(env: dict[str, str], *urls: str) -> dict[str, Any]:
    """The standing of the only task, once its calls were folded."""
    options = [word for url in urls for word in ("--url", url)]
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            async with Command("status", "--json", *options, env=env) as command:
                code = await command.wait_exit()
            tasks = json.loads(command.output)["tasks"] if code == 0 else []
            if tasks and tasks[0]["examples"] == CALLS:
                (found,) = tasks
                return dict(found)


async def test_a_log_is_imported_into_single_services_once(tmp_path: Path) -> None:
    log = write_recorded(tmp_path / "calls.jsonl", CALLS)
    async with TansuBroker() as broker, ClickHouseServer() as store, AsyncExitStack() as opened:
        env = {
            "UNDERSTUDIES_BUS_GROUP_PREFIX": "",
            "UNDERSTUDIES_BUS_BOOTSTRAP": broker.bootstrap,
            "UNDERSTUDIES_ADMIN_PORT": "0",
            "UNDERSTUDIES_STORE_URL": store.url(),
        }
        importing = ("import", log, "--bootstrap", broker.bootstrap)
        told = await run(*importing, env={**env, "UNDERSTUDIES_STORE_URL": ""}, code=2)
        assert "set UNDERSTUDIES_STORE_URL to the store of the services" in told
        assert "start the observer" in await run(*importing, env=env, code=2)
        services = [
            await opened.enter_async_context(Command(name, "--data", tmp_path / name, env=env))
            for name in ("observer", "budget")
        ]
        urls = [(await service.wait_for_line(TOLD))[1] for service in services]
        await services[0].wait_for_line("observer runs")
        told = await run(*importing, env=env)
        assert f"imported {CALLS} calls; 0 were there already" in told
        assert "1 line skipped" in told
        assert f"imported 0 calls; {CALLS} were there already" in await run(*importing, env=env)
        standing = await wait_for_task(env, *urls)
        for service in services:
            assert await service.terminate() == 0, service.output
    assert (standing["task"], standing["phase"]) == (TASK, "recording")
    assert standing["today"]["calls"] == standing["to_date"]["calls"] == 0
    assert standing["teacher_price"]["usd"] == "0.03"
