"""Redis goes away: budgets fail to the side that is set and hold again afterwards; who has none does not notice."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from tests.support.commands import TIMEOUT_S
from tests.support.fake_teacher import FakeTeacher
from tests.support.outage import SteadyTraffic, router_command, wait_router_url
from tests.support.redis_server import RedisServer
from tests.support.tansu_broker import TansuBroker

RULES = """
[router]
{router}

[tasks.bounded]
daily_budget_usd = 1000
"""


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


async def asked(url: str, task: str) -> int:
    """The status of one call."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{url}/chat/completions", json=body, headers={"x-understudies-task": task}) as response,
    ):
        await response.read()
        return response.status


async def until_served(url: str) -> None:
    """Wait until calls within a budget are served."""
    while await asked(url, "bounded") != 200:
        pass


@pytest.mark.parametrize(
    ("rule", "status"),
    [("", 503), ('when_online_away = "refuse"', 503), ('when_online_away = "serve"', 200)],
    ids=["unset", "refuse", "serve"],
)
async def test_calls_within_a_budget_fail_to_the_side_that_is_set(
    tmp_path: Path, redis: RedisServer, rule: str, status: int
) -> None:
    rules = tmp_path / "understudies.toml"
    rules.write_text(RULES.format(router=rule))
    async with TansuBroker() as broker, FakeTeacher() as teacher:
        words = ("--rules", rules, "--redis-url", redis.url)
        async with router_command(tmp_path / "data", teacher.url, broker.bootstrap, *words) as running:
            url = await wait_router_url(running)
            assert await asked(url, "bounded") == 200
            redis.pause()
            assert [await asked(url, task) for task in ("bounded", "free", "bounded")] == [status, 200, status]
            redis.resume()
            await until_served(url)
            redis.kill()
            assert [await asked(url, task) for task in ("bounded", "free", "bounded")] == [status, 200, status]
            await redis.start()
            await until_served(url)
            assert await running.terminate() == 0, running.output
    assert "Traceback" not in running.output


async def test_without_budgets_nobody_notices_that_redis_is_away(tmp_path: Path) -> None:
    words = ("--redis-url", RedisServer().url)
    async with (
        TansuBroker() as broker,
        FakeTeacher() as teacher,
        router_command(tmp_path, teacher.url, broker.bootstrap, *words) as running,
    ):
        async with SteadyTraffic(await wait_router_url(running)).running() as traffic:
            await traffic.wait_more_answers(100)
        assert await running.terminate() == 0, running.output
    assert traffic.errors == []


async def test_a_redis_that_freezes_under_load_costs_no_call(
    tmp_path: Path, redis: RedisServer, record_property: Callable[[str, object], None]
) -> None:
    rules = tmp_path / "understudies.toml"
    rules.write_text(RULES.format(router='when_online_away = "serve"').replace("tasks.bounded", "defaults"))
    async with TansuBroker() as broker, FakeTeacher() as teacher:
        words = ("--rules", rules, "--redis-url", redis.url)
        async with router_command(tmp_path / "data", teacher.url, broker.bootstrap, *words) as running:
            async with SteadyTraffic(await wait_router_url(running)).running() as traffic:
                await traffic.wait_more_answers(100)
                redis.pause()
                await traffic.wait_more_answers(300)
                redis.resume()
                await traffic.wait_more_answers(100)
            assert await running.terminate() == 0, running.output
    assert traffic.errors == []
    slowest = max(answer.seconds for answer in traffic.answers)
    record_property("slowest", f"{slowest * 1000:.0f} ms")
