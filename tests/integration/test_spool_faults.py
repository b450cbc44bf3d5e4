"""The bus goes away under load: no event is lost or doubled, and each task's events arrive in order."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka.errors import KafkaError
from tests.support.recording import event
from tests.support.tansu_broker import TansuBroker, open_consumer

from understudies.events import INVOCATIONS
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import BusMessage
from understudies.runtime.settings import BusSettings

TASKS = ("triage", "booking", "refunds", "search")
SECONDS = 60


class PausableBus(KafkaBus):
    """A bus that can be held while a broker that came back is given its topics.

    The embedded broker loses records that it acknowledges at that moment; brokers that keep their topics have no such
    moment.
    """

    def __init__(self, settings: BusSettings) -> None:
        super().__init__(settings, "router")
        self._turn = asyncio.Lock()

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        async with self._turn:
            await super().publish_encoded(messages)

    async def restart(self, tansu: TansuBroker) -> None:
        """Start the broker between two attempts to publish."""
        async with self._turn:
            await tansu.start()


class Load:
    """Records calls without end of several tasks in turn, and knows how many."""

    def __init__(self, bus: PausableBus, recorder: InProcessRecorder) -> None:
        self.bus = bus
        self.recorder = recorder
        self.count = 0

    async def run(self, count: int) -> None:
        """So many more calls, between which others have their turn."""
        for _ in range(count):
            self.recorder.record(event(self.count, TASKS[self.count % len(TASKS)]))
            self.count += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def recording(
    bootstrap: str, folder: Path, *, patience_s: float = 0.2, timeout_s: float = 1
) -> AsyncIterator[Load]:
    """A recorder on a bus, with short times."""
    bus = PausableBus(BusSettings(bootstrap=bootstrap, group_prefix=None, publish_timeout_s=timeout_s))
    await bus.start()
    recorder = InProcessRecorder(
        bus, spool=AsyncSpool(folder), linger_s=0.005, patience_s=patience_s, retry_s=(0.02, 0.1), batch_size=50
    )
    await recorder.start()
    try:
        yield Load(bus, recorder)
    finally:
        await recorder.stop()
        await bus.stop()


async def arrived(bootstrap: str, count: int) -> dict[str, list[int]]:
    """Numbers of the calls on the bus by task, in the order of their partition, once there are so many."""
    found: dict[str, list[int]] = {}
    seen = 0
    async with asyncio.timeout(SECONDS), open_consumer(bootstrap, INVOCATIONS) as consumer:
        while seen < count:
            try:
                record = await consumer.getone()
            except KafkaError:
                continue
            one = INVOCATIONS.decode(record.value)
            found.setdefault(one.task, []).append(int(one.id.removeprefix("call-")))
            seen += 1
    return found


def whole(first: int, end: int) -> dict[str, list[int]]:
    """All calls from one number to another, each once and in order."""
    return {task: [n for n in range(first, end) if TASKS[n % len(TASKS)] == task] for task in TASKS}


async def test_a_bus_that_dies_under_load_costs_no_event_and_doubles_none(tmp_path: Path) -> None:
    async with TansuBroker() as tansu, recording(tansu.bootstrap, tmp_path) as load:
        await load.run(400)
        await asyncio.wait_for(load.recorder.flush(), SECONDS)
        assert await arrived(tansu.bootstrap, 400) == whole(0, 400)
        tansu.stop()
        await load.run(1500)
        await asyncio.wait_for(load.recorder.flush(), SECONDS)
        counts = load.recorder.counts
        assert (counts.published, counts.spooled, load.recorder.bus_unavailable) == (400, 1500, True)
        await asyncio.gather(load.bus.restart(tansu), load.run(1000))
        assert await arrived(tansu.bootstrap, 2500) == whole(400, 2900)
        await load.run(100)
        assert await arrived(tansu.bootstrap, 2600) == whole(400, 3000)
        assert (counts.recorded, counts.published, counts.dropped) == (3000, 3000, 0)
    assert left_on_disk(tmp_path) == []


async def test_a_bus_that_freezes_and_goes_on_gets_each_event_once(tmp_path: Path) -> None:
    async with TansuBroker() as tansu, recording(tansu.bootstrap, tmp_path, patience_s=0.05, timeout_s=30) as load:
        await load.run(100)
        await asyncio.wait_for(load.recorder.flush(), SECONDS)
        tansu.pause()
        await load.run(500)
        await asyncio.wait_for(load.recorder.flush(), SECONDS)
        assert load.recorder.counts.spooled == 500
        tansu.resume()
        await load.run(100)
        assert await arrived(tansu.bootstrap, 700) == whole(0, 700)
        await asyncio.wait_for(load.recorder.flush(), SECONDS)
    assert left_on_disk(tmp_path) == []


async def test_a_bus_that_dies_again_and_again_gets_each_event_once(tmp_path: Path) -> None:
    async with TansuBroker() as tansu, recording(tansu.bootstrap, tmp_path, timeout_s=0.5) as load:
        since = 0
        for _ in range(3):
            await load.run(300)
            assert await arrived(tansu.bootstrap, load.count - since) == whole(since, load.count)
            tansu.stop()
            since = load.count
            await load.run(100)
            await asyncio.wait_for(load.recorder.flush(), SECONDS)
            await load.bus.restart(tansu)
        assert await arrived(tansu.bootstrap, 100) == whole(since, load.count)


def left_on_disk(folder: Path) -> list[Path]:
    return list(folder.rglob("*.spool"))


ROUTER = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_spool_faults import recording

async def main():
    async with recording(sys.argv[1], Path(sys.argv[2])) as load:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await load.run(500)
        await load.recorder.flush()
        print("spooled", flush=True)
        await load.run(10**9)

asyncio.run(main())
"""


async def test_a_router_killed_while_the_bus_is_away_leaves_its_events_to_the_next(tmp_path: Path) -> None:
    async with TansuBroker() as tansu:
        options = [sys.executable, "-c", ROUTER, tansu.bootstrap, str(tmp_path)]
        router = await asyncio.create_subprocess_exec(
            *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert router.stdin is not None
        assert router.stdout is not None
        assert await router.stdout.readline() == b"ready\n"
        tansu.stop()
        router.stdin.write(b"go\n")
        assert await router.stdout.readline() == b"spooled\n"
        router.kill()
        await router.wait()
        await tansu.start()
        async with recording(tansu.bootstrap, tmp_path) as heir:
            found = await arrived(tansu.bootstrap, 500)
            last = max(numbers[-1] for numbers in found.values())
            assert last >= 499
            await asyncio.wait_for(heir.recorder.flush(), SECONDS)
        on_the_bus = heir.recorder.counts.published
        everything = await arrived(tansu.bootstrap, on_the_bus)
        assert everything == whole(0, on_the_bus)
