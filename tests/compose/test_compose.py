"""`docker compose up --wait` brings all up healthy, as docker-compose.yml says, and a call through it is stored.

`make test-compose` builds the image and runs this.
"""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import chdb
import pytest
from tests.support.commands import openai_client
from tests.support.containers import require_docker

from understudies.runtime.store import Store

SERVICES: Final = ("router", "observer", "evaluator", "trainer", "budget")
PASSWORD: Final = "compose-test"
_UP_S: Final = 240
pytestmark = pytest.mark.skipif(
    os.environ.get("UNDERSTUDIES_TEST_COMPOSE") != "required", reason="needs the image: make test-compose"
)


class Compose:
    """A project of its own, whose volumes go with it."""

    def __init__(self) -> None:
        self._project = f"understudies-test-{uuid.uuid4().hex[:8]}"
        self._env = {
            **os.environ,
            "CLICKHOUSE_PASSWORD": PASSWORD,
            "TEST_SITE_PACKAGES": str(Path(str(chdb.__file__)).parents[1]),
        }

    def run(self, *words: str, timeout_s: float = _UP_S) -> str:
        """What a command of docker compose prints; fails with what it says otherwise."""
        files = ("-f", "docker-compose.yml", "-f", "tests/compose/override.yml")
        command = ["docker", "compose", "--project-name", self._project, *files, *words]
        ended = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert ended.returncode == 0, ended.stderr[-4000:]
        return ended.stdout

    def address(self, service: str, port: int) -> str:
        """Where a port is published."""
        return self.run("port", service, str(port)).strip()

    def inspect(self, service: str) -> Any:
        """What the engine knows of a service's container."""
        [container] = self.run("ps", "--all", "--quiet", service).split()
        found = subprocess.run(["docker", "inspect", container], capture_output=True, check=True)
        return json.loads(found.stdout)[0]


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    require_docker()
    compose = Compose()
    try:
        compose.run("up", "--detach", "--wait", "--wait-timeout", "200")
        yield compose
    finally:
        compose.run("down", "--volumes", "--timeout", "5")


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_healthy_and_can_change_nothing_but_their_data(compose: Compose, service: str) -> None:
    found = compose.inspect(service)
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["Config"]["User"] == "10001"
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
    assert [mount["Destination"] for mount in found["Mounts"] if mount["RW"]] == ["/data"]


def test_topics_are_created_once(compose: Compose) -> None:
    state = compose.inspect("topics")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)


async def test_an_agents_call_ends_in_the_store(compose: Compose) -> None:
    async with openai_client(f"http://{compose.address('router', 8080)}/v1") as agent:
        answered = await agent.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "I want my money back"}],
            extra_headers={"x-understudies-task": "triage"},
        )
    assert answered.choices[0].message.content == "refund"
    url = f"clickhouse://understudies:{PASSWORD}@{compose.address('clickhouse', 8123)}/understudies"
    store = await Store.open(url)
    try:
        async with asyncio.timeout(60):
            while not (rows := await store.query("SELECT task, served_by, error FROM invocations FINAL")):
                pass
    finally:
        await store.close()
    assert rows == [{"task": "triage", "served_by": "teacher", "error": None}]
