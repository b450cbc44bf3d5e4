"""The process that records: what it is given arrives, whichever of the two processes ends."""

import asyncio
import contextlib
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.outage import open_broker_line
from tests.support.recording import FakeBus
from tests.support.tansu_broker import TansuBroker, read_events

from understudies.events import INVOCATIONS, Response
from understudies.redaction.patterns import default_redactor
from understudies.router.call import Call
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.recording.process.client import ProcessRecorder
from understudies.router.recording.process.ipc import WorkerConfig
from understudies.router.recording.process.serialization import deserialize, serialize
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.routing.decision import Decision
from understudies.runtime.clock import SystemClock
from understudies.runtime.settings import BusSettings

APART = (sys.executable, "-m", "understudies.router.recording.process.worker")
FRAGILE = (sys.executable, "-m", "tests.support.crashing_worker")
SECONDS = 30


def event(name: str) -> bytes:
    call = Call(id=name, at=SystemClock().now(), task="triage", request=user_request(f"this is {name}"), sample=0.5)
    account = InvocationBuilder(call)
    return serialize(
        account.from_cache(Decision("cached").to_record(), Response(message=assistant_message("hi")), model="m")
    )


def scribe(
    bootstrap: str, spool: Path, command: Sequence[str] = APART, *, capacity: int = 1000, instead: FakeBus | None = None
) -> ProcessRecorder:
    brief = WorkerConfig(BusSettings(bootstrap=bootstrap, replication_factor=1), capacity, spool, 10**6)
    return ProcessRecorder(
        brief,
        command,
        deserialize=lambda data: deserialize(data, default_redactor).invocation(),
        make_fallback=lambda: InProcessRecorder(instead or FakeBus()),
        pause_s=(0.01, 0.02),
    )


@contextlib.asynccontextmanager
async def running(made: ProcessRecorder) -> AsyncIterator[ProcessRecorder]:
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def children() -> list[int]:
    pid = os.getpid()
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return [child for child in found if "process.worker" in Path(f"/proc/{child}/cmdline").read_text()]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - another process, which announces nothing
            await asyncio.sleep(0.01)


async def arrived(broker: TansuBroker, count: int) -> list[str]:
    return [one.id for one in await read_events(broker.bootstrap, INVOCATIONS, count)]


async def test_what_is_recorded_arrives_in_order_and_is_counted(tmp_path: Path) -> None:
    async with TansuBroker() as broker, running(scribe(broker.bootstrap, tmp_path)) as made:
        for number in range(50):
            made.record(event(f"call-{number}"))
        assert await made.deliver(SECONDS)
        assert await arrived(broker, 50) == [f"call-{number}" for number in range(50)]
        await until(lambda: made.counts.published == 50)
        assert (made.counts.recorded, made.dropped, len(made), made.bytes, made.restarts) == (50, 0, 0, 0, 0)


async def test_what_waits_at_the_stop_is_delivered(tmp_path: Path) -> None:
    async with TansuBroker() as broker:
        async with running(scribe(broker.bootstrap, tmp_path)) as made:
            made.record(event("last"))
        assert await arrived(broker, 1) == ["last"]
        assert children() == []


async def test_a_process_that_is_killed_is_replaced_and_what_it_had_not_settled_arrives(tmp_path: Path) -> None:
    async with TansuBroker() as broker, running(scribe(broker.bootstrap, tmp_path)) as made:
        made.record(event("first"))
        await until(lambda: len(children()) == 1)
        os.kill(children()[0], signal.SIGKILL)
        made.record(event("second"))
        await until(lambda: made.restarts == 1)
        made.record(event("third"))
        assert await made.deliver(SECONDS)
        found = await arrived(broker, 3)
        assert list(dict.fromkeys(found)) == ["first", "second", "third"]


async def test_a_router_that_is_killed_has_recorded_all_that_it_was_told(tmp_path: Path) -> None:
    async with TansuBroker() as broker:
        command = (sys.executable, "-m", "tests.support.killed_router", broker.bootstrap, str(tmp_path))
        router = await asyncio.create_subprocess_exec(*command)
        assert await router.wait() == -signal.SIGKILL
        async with asyncio.timeout(SECONDS):
            assert await arrived(broker, 51) == ["sent", *(f"call-{number}" for number in range(50))]


async def test_without_memory_to_share_everything_else_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str) -> int:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(os, "memfd_create", refuse)
    async with TansuBroker() as broker, running(scribe(broker.bootstrap, tmp_path)) as made:
        assert "no memory can be shared with the recorder process" in caplog.text
        made.record(event("only"))
        assert await made.deliver(SECONDS)
        assert await arrived(broker, 1) == ["only"]


async def test_while_the_bus_is_away_events_are_on_disk_and_the_next_one_delivers_them(tmp_path: Path) -> None:
    async with open_broker_line() as bus:
        await bus.proxy.set_state("refused")
        async with running(scribe(bus.address, tmp_path)) as made:
            made.record(event("early"))
            assert await made.deliver(SECONDS)
            await until(lambda: made.bus_unavailable)
            assert made.spool is not None
            assert made.spool.size > 0
        await bus.proxy.set_state("open")
        async with running(scribe(bus.address, tmp_path)) as heir:
            heir.record(event("late"))
            assert await heir.deliver(SECONDS)
            assert sorted(await arrived(bus.broker, 2)) == ["early", "late"]


async def test_beyond_its_capacity_the_newest_are_dropped_and_counted(tmp_path: Path) -> None:
    made = scribe("127.0.0.1:1", tmp_path, capacity=2)
    for number in range(5):
        made.record(event(f"call-{number}"))
    assert (len(made), made.dropped, made.counts.lost["buffer_full"]) == (2, 3, 3)
    made.count_unrecordable()
    assert (made.counts.recorded, made.counts.unrecordable) == (6, 1)
    await made.stop()


@pytest.mark.parametrize("command", [("/bin/false",), ("/no/such/program",)])
async def test_where_no_process_can_be_kept_running_the_router_records_itself(
    tmp_path: Path, command: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakeBus()
    async with running(scribe("127.0.0.1:1", tmp_path, command, instead=bus)) as made:
        made.record(event("early"))
        await until(lambda: "recording in the router process" in caplog.text)
        made.record(event("late"))
        assert await made.deliver(SECONDS)
        assert bus.taken == ["early", "late"]
        assert (made.counts.recorded, made.counts.published, made.dropped) == (2, 2, 0)


async def test_what_waits_for_a_process_that_never_ran_is_recorded_at_the_stop(tmp_path: Path) -> None:
    bus = FakeBus()
    made = scribe("127.0.0.1:1", tmp_path, instead=bus)
    made.record(event("only"))
    await made.stop()
    assert bus.taken == ["only"]


async def test_an_event_that_ends_the_process_again_and_again_is_given_up_alone(tmp_path: Path) -> None:
    async with TansuBroker() as broker, running(scribe(broker.bootstrap, tmp_path, FRAGILE)) as made:
        made.record(event("before"))
        assert await made.deliver(SECONDS)
        made.record(event("poison"))
        await until(lambda: made.restarts >= 1)
        made.record(event("after"))
        assert await made.deliver(SECONDS)
        assert await arrived(broker, 2) == ["before", "after"]
        assert made.counts.lost["unwritable"] == 1
