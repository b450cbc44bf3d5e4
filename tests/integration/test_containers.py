"""The services on Kafka, Redis and ClickHouse in containers, as testcontainers starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from tests.support.brokers import open_kafka
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.commands import openai_client
from tests.support.containers import (
    CLICKHOUSE_IMAGE,
    require_docker,
    require_image,
    shared_kafka_container,
    shared_redis_container,
)
from tests.support.redis_server import flush
from tests.support.sample_events import make_invocation
from tests.support.stores import open_migrated_store

from understudies.events import INVOCATIONS, Invocation, encode
from understudies.testing.stack import Stack

RULES = "[tasks.triage]\ndaily_budget_usd = 1000\n"
PASSWORD = "p@ss/word'1"


async def test_an_agents_call_passes_kafka_and_redis_and_ends_in_the_store(tmp_path: Path) -> None:
    require_docker()
    redis = shared_redis_container()
    await flush(redis)
    async with ClickHouseServer(password=PASSWORD) as store:
        async with open_kafka() as settings:
            assert settings.bootstrap == shared_kafka_container()
            stack = Stack(
                tmp_path,
                bootstrap=settings.bootstrap,
                redis_url=redis,
                store_url=store.url(),
                rules=RULES,
                teacher="refund",
            )
            async with stack, openai_client(stack.url) as agent:
                answered = await agent.chat.completions.create(
                    model="gpt-4o",
                    messages=[{"role": "user", "content": "I want my money back"}],
                    extra_headers={"x-understudies-task": "triage"},
                )
                assert answered.choices[0].message.content == "refund"
                (call,) = await stack.wait_events(INVOCATIONS, 1)
                assert isinstance(call, Invocation)
                # Services that end cleanly have stored what they consumed.
                assert set((await stack.stop()).values()) == {0}
        async with open_migrated_store(store.url()) as opened:
            assert await opened.query("SELECT id FROM invocations FINAL") == [{"id": call.id}]


async def test_a_clickhouse_server_in_a_container_keeps_calls() -> None:
    require_image(CLICKHOUSE_IMAGE)
    server = (
        DockerContainer(CLICKHOUSE_IMAGE)
        .with_env("CLICKHOUSE_DB", "understudies")
        .with_env("CLICKHOUSE_USER", "understudies")
        .with_env("CLICKHOUSE_PASSWORD", "secret")
        .with_exposed_ports(8123)
        .waiting_for(HttpWaitStrategy(8123, "/ping"))
    )
    with server:
        address = f"{server.get_container_host_ip()}:{server.get_exposed_port(8123)}"
        async with open_migrated_store(f"clickhouse://understudies:secret@{address}/understudies") as store:
            call = make_invocation()
            await store.insert(INVOCATIONS.name, [encode(call)])
            assert await store.query("SELECT id FROM invocations FINAL") == [{"id": call.id}]


@pytest.mark.parametrize(("name", "value", "outcome"), [("CI", "true", "Failed"), ("CI", "", "Skipped")])
def test_a_missing_engine_fails_where_one_is_required(name: str, value: str, outcome: str) -> None:
    env = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1", "UNDERSTUDIES_TEST_DOCKER": "", name: value}
    code = "from tests.support.containers import require_docker; require_docker()"
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"{outcome}: " in ended.stderr
