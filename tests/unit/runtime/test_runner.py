"""The runner: what a snapshot claims to have, and how a service ends."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.events import invocation

from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, Event, Topic
from understudies.runtime import Bus, ConfigurationError, Offsets, Record, RetryLater, Snapshots, VirtualClock
from understudies.runtime import runner as runner_module
from understudies.runtime.runner import Cut, Runner, keep_ticking

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class StillBus:
    """Hands over what it is told to."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.ended_with: Exception | None = None
        self.begins: Offsets | None = None
        self.troubles: list[Exception] = []
        self.held: Offsets = {}
        self.group: Offsets = {}
        self.asked = 0
        self.started = asyncio.Event()
        self.counted = False

    def consume(self, topics: Sequence[Topic], handler: Any, *, start: Offsets | None, **rest: Any) -> None:
        self.handler = handler
        self.begins = start

    async def start(self) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.started.set()

    async def ends(self, done: Offsets) -> Offsets:
        self.asked += 1
        return self.held

    async def committed(self) -> Offsets:
        if self.troubles:
            raise self.troubles.pop(0)
        return self.group

    async def stop(self) -> None: ...

    async def ended(self) -> None:
        await asyncio.Event().wait()


class Counter:
    """Counts records; waits where told to."""

    name = "counter"
    topics: Sequence[Topic] = (INVOCATIONS,)
    max_records = 100

    def __init__(self) -> None:
        self.handled = 0
        self.busy = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def start(self) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.busy.set()
        await self.go_on.wait()
        self.handled += len(records)

    async def tick(self, now: datetime) -> None: ...

    async def stop(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {"handled": self.handled}

    async def restore(self, state: dict[str, Any]) -> None:
        self.handled = state["handled"]


class Watch:
    """A time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(tmp_path: Path, watch: Watch | None = None) -> tuple[Runner, Counter, StillBus]:
    app, bus = Counter(), StillBus()
    snapshots, timer = Snapshots(tmp_path), watch or Watch()
    return Runner(app, cast(Bus, bus), snapshots=snapshots, generation="life-1", timer=timer), app, bus


def kept(tmp_path: Path) -> tuple[dict[str, Any], Offsets]:
    snapshot = Snapshots(tmp_path).load("counter")
    assert snapshot is not None
    return snapshot.state, snapshot.offsets


def record(offset: int, partition: int = 0) -> Record:
    return Record(INVOCATIONS.name, partition, offset, None, b"{}")


def since(tmp_path: Path) -> datetime | None:
    snapshot = Snapshots(tmp_path).load("counter")
    assert snapshot is not None
    return snapshot.since


async def test_a_snapshot_claims_what_was_stored_only_where_it_has_all_of_it(tmp_path: Path) -> None:
    runner, _, bus = made(tmp_path)
    await runner.start()
    await bus.handler([record(0)])
    await runner.tick(NOON, Cut(NOON, {("invocations", 0): 1, ("verdicts", 0): 9}))
    assert since(tmp_path) == NOON
    await bus.handler([record(1)])
    await runner.tick(NOON, Cut(NOON + timedelta(seconds=1), {("invocations", 0): 3}))
    assert since(tmp_path) == NOON
    await bus.handler([record(2)])
    await runner.tick(NOON, Cut(NOON + timedelta(seconds=2), {("invocations", 0): 3}))
    assert since(tmp_path) == NOON + timedelta(seconds=2)


async def test_what_was_missed_is_asked_for_from_the_snapshot_on_and_handled_first(tmp_path: Path) -> None:
    runner, _, bus = made(tmp_path)
    await runner.start()
    await bus.handler([record(0)])
    await runner.tick(NOON, Cut(NOON, {("invocations", 0): 1}))
    asked: list[datetime | None] = []

    async def missed(moment: datetime | None, topics: Sequence[Topic]) -> AsyncIterator[Sequence[Event]]:
        asked.append(moment)
        assert list(topics) == [INVOCATIONS]
        yield [invocation("one"), invocation("two")]

    again, app, _ = made(tmp_path)
    await again.start(missed)
    assert asked == [NOON]
    assert app.handled == 3
    await again.stop()
    assert since(tmp_path) == NOON


async def test_a_service_in_the_middle_of_its_work_is_left_with_its_last_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_S", 0.01)
    runner, app, bus = made(tmp_path)
    await runner.start()
    await bus.handler([record(0)])
    await runner.tick(NOON)
    app.busy.clear()
    app.go_on.clear()
    working = asyncio.ensure_future(bus.handler([record(1)]))
    await app.busy.wait()
    assert await runner.stop() is False
    app.go_on.set()
    await working
    snapshot = Snapshots(tmp_path).load("counter")
    assert snapshot is not None
    assert snapshot.state == {"handled": 1}


async def test_ticking_ends_though_a_tick_waits_for_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_S", 0.01)
    stopping, ticking = asyncio.Event(), asyncio.Event()

    async def tick(now: datetime) -> None:
        ticking.set()
        await asyncio.Event().wait()

    async def failed() -> None:
        await asyncio.Event().wait()

    loop = asyncio.ensure_future(keep_ticking(tick, failed, VirtualClock(NOON), stopping, 1))
    await ticking.wait()
    stopping.set()
    await asyncio.wait_for(loop, 5)


async def test_ticking_raises_what_the_service_failed_with() -> None:
    async def tick(now: datetime) -> None: ...

    async def failed() -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        await keep_ticking(tick, failed, VirtualClock(NOON), asyncio.Event(), 60)


class Patient(Counter):
    """Works without its bus, and notes from when on it knows what there is to know."""

    def __init__(self) -> None:
        super().__init__()
        self.story: list[str] = []
        self.informed = asyncio.Event()

    def fall_behind(self) -> None:
        self.story.append("behind")

    async def start(self) -> None:
        self.story.append("start")

    def catch_up(self) -> None:
        self.story.append(f"caught up after {self.handled}")
        self.informed.set()


def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_S", 0.01)


async def test_who_follows_starts_without_the_bus_and_is_told_once_it_has_caught_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_patience(monkeypatch)
    app, bus = Patient(), StillBus()
    bus.troubles = [RetryLater("no broker at 'kafka:9092'"), ConfigurationError("no topics"), KeyError("odd")]
    bus.held = {("invocations", 0): 2, ("invocations", 1): 0}
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    assert app.story == ["behind", "start"]
    await asyncio.wait_for(bus.started.wait(), 5)
    await bus.handler([record(0)])
    assert not app.informed.is_set()
    await bus.handler([record(1)])
    await asyncio.wait_for(app.informed.wait(), 5)
    assert app.story == ["behind", "start", "caught up after 2"]
    assert [r.levelname for r in caplog.records if "goes on without its bus" in r.getMessage()] == ["WARNING"]
    await runner.stop()


async def test_who_follows_has_caught_up_at_the_start_where_nothing_is_left_to_read() -> None:
    app, bus = Patient(), StillBus()
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    assert app.story == ["behind", "start", "caught up after 0"]
    await runner.stop()


@pytest.mark.parametrize("trouble", [ConfigurationError("no topics ['drift']: create them"), KeyError("no topics")])
async def test_what_no_waiting_mends_is_refused_at_the_start_of_who_follows_too(trouble: Exception) -> None:
    bus = StillBus()
    bus.troubles = [trouble]
    with pytest.raises(type(trouble), match="no topics"):
        await Runner(Patient(), cast(Bus, bus)).start()


async def test_who_does_not_follow_does_not_start_without_the_bus() -> None:
    bus = StillBus()
    bus.troubles = [RetryLater("no broker")]
    with pytest.raises(RetryLater):
        await Runner(Counter(), cast(Bus, bus)).start()


async def test_who_waits_for_the_bus_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    without_patience(monkeypatch)
    app, bus = Patient(), StillBus()
    bus.troubles = [RetryLater("no broker")] * 1000
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    assert await asyncio.wait_for(runner.stop(), 5)
    assert app.story == ["behind", "start"]


class Daily(Counter):
    """Notes at each tick whether it was told that it is behind, and is due until it was not."""

    def __init__(self) -> None:
        super().__init__()
        self.behind = False
        self.due = True
        self.told: list[bool] = []

    def is_due(self, now: datetime) -> bool:
        return self.due

    async def tick(self, now: datetime) -> None:
        self.told.append(self.behind)
        self.due = self.due and self.behind


async def reckoning() -> tuple[Runner, Daily, StillBus]:
    app, bus = Daily(), StillBus()
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    return runner, app, bus


async def test_who_reckons_is_behind_until_it_has_handled_what_the_topics_held() -> None:
    runner, app, bus = await reckoning()
    bus.held = {("invocations", 0): 2, ("invocations", 1): 0}
    await runner.tick(NOON)
    await bus.handler([record(0)])
    # What comes meanwhile is no part of it: else a busy topic would never end.
    bus.held = {("invocations", 0): 1000, ("invocations", 1): 0}
    await runner.tick(NOON)
    await bus.handler([record(1)])
    await runner.tick(NOON)
    assert app.told == [True, True, False]
    assert bus.asked == 1
    await runner.tick(NOON)
    assert bus.asked == 1, "nothing is due any more"
    app.due = True
    await runner.tick(NOON)
    assert (app.told[-1], bus.asked) == (True, 2)
    await runner.stop()


async def test_who_reckons_is_behind_while_it_reads_no_partition_or_its_bus_is_away() -> None:
    runner, app, bus = await reckoning()
    await runner.tick(NOON)
    bus.held = {("invocations", 0): 0}
    bus.troubles = [RetryLater("no broker")]
    await runner.tick(NOON)
    await runner.tick(NOON)
    assert app.told == [True, True, False]
    await runner.stop()


async def test_who_reckons_handles_what_comes_while_its_bus_looks_where_the_topics_end() -> None:
    runner, app, bus = await reckoning()

    async def ends(done: Offsets) -> Offsets:
        await bus.handler([record(0)])
        return {("invocations", 0): 1}

    bus.ends = ends  # type: ignore[method-assign]  # it takes as long as handling does
    await asyncio.wait_for(runner.tick(NOON), 5)
    assert (app.told, app.handled) == ([False], 1)
    await runner.stop()


async def test_a_partition_that_another_process_has_by_then_does_not_keep_it_behind_for_ever() -> None:
    now = 0.0
    app, bus = Daily(), StillBus()
    runner = Runner(app, cast(Bus, bus), timer=lambda: now)
    await runner.start()
    bus.held = {("invocations", 0): 1, ("invocations", 1): 9}
    await runner.tick(NOON)
    await bus.handler([record(0)])
    bus.held = {("invocations", 0): 1}
    await runner.tick(NOON)
    now = 601.0
    await runner.tick(NOON)
    await runner.tick(NOON)
    assert app.told == [True, True, True, False]


async def test_where_flow_is_counted_nobody_is_behind() -> None:
    app, bus = Daily(), StillBus()
    bus.counted, bus.held = True, {("invocations", 0): 1}
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    await runner.tick(NOON)
    assert app.told == [False]


async def test_what_its_group_had_handled_before_does_not_keep_it_behind() -> None:
    runner, app, bus = await reckoning()
    bus.held = {("invocations", 0): 7, ("invocations", 1): 1}
    bus.group = {("invocations", 0): 7}
    await runner.tick(NOON)
    await bus.handler([record(0, partition=1)])
    await runner.tick(NOON)
    assert app.told == [True, False]
    await runner.stop()


class Host(Counter):
    """Has guests until it is told to go on, and handles events meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving = asyncio.Event()
        self.alone = asyncio.Event()

    async def leave(self) -> None:
        self.leaving.set()
        await self.alone.wait()


async def test_events_are_handled_while_a_service_finishes_what_others_wait_for() -> None:
    app, bus = Host(), StillBus()
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    stopping = asyncio.ensure_future(runner.stop())
    await app.leaving.wait()
    await asyncio.wait_for(bus.handler([record(0)]), 5)
    assert app.handled == 1
    app.alone.set()
    assert await stopping


class Follower(Counter):
    """Follows promotions too."""

    topics = (INVOCATIONS, PROMOTIONS, DRIFT)


class Replayer(Follower):
    """Names what it reads again."""

    replays = (PROMOTIONS, DRIFT)


@pytest.mark.parametrize(
    ("app", "begins"),
    [
        (Counter(), None),
        (Follower(), {("promotions", 0): 0}),
        (Replayer(), {("promotions", 0): 0, ("drift", 0): 0, ("drift", 1): 0}),
    ],
)
async def test_without_a_snapshot_what_is_kept_for_ever_is_read_from_its_beginning(
    tmp_path: Path, app: Counter, begins: Offsets | None
) -> None:
    bus = StillBus()
    await Runner(app, cast(Bus, bus), snapshots=Snapshots(tmp_path)).start()
    assert bus.begins == begins


async def test_with_a_snapshot_it_goes_on_from_there(tmp_path: Path) -> None:
    bus = StillBus()
    Snapshots(tmp_path).save("counter", {"handled": 3}, {("promotions", 0): 3}, "")
    await Runner(Follower(), cast(Bus, bus), snapshots=Snapshots(tmp_path)).start()
    assert bus.begins == {("promotions", 0): 3}


async def test_a_full_disk_ends_nothing_and_the_state_is_kept_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner, _, bus = made(tmp_path)
    await runner.start()
    await bus.handler([record(0)])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "write", full)
        await runner.tick(NOON)
        await runner.tick(NOON)
    assert [r.levelname for r in caplog.records if "No space left" in r.getMessage()] == ["ERROR"]
    await runner.tick(NOON)
    snapshot = Snapshots(tmp_path).load("counter")
    assert snapshot is not None
    assert snapshot.state == {"handled": 1}


class SlowDisk:
    """Writes when it is told to, and says when it has begun."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.at_once = self.most = self.written = 0

    def __call__(self, snapshots: Snapshots, service: str, body: bytes) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        assert self.go_on.wait(30)
        write(snapshots, service, body)
        self.at_once -= 1
        self.written += 1


write = Snapshots.write


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk()
    monkeypatch.setattr(Snapshots, "write", lambda *given: disk(*given))
    yield disk
    disk.go_on.set()


async def test_a_service_goes_on_while_its_state_is_written_as_it_was(tmp_path: Path, disk: SlowDisk) -> None:
    runner, app, bus = made(tmp_path)
    await runner.start()
    await bus.handler([record(0)])
    ticking = asyncio.ensure_future(runner.tick(NOON))
    assert await asyncio.to_thread(disk.begun.wait, 30)
    await bus.handler([record(1)])
    assert (app.handled, ticking.done()) == (2, False)
    disk.go_on.set()
    await ticking
    assert kept(tmp_path) == ({"handled": 1}, {("invocations", 0): 1})
    await runner.tick(NOON)
    assert kept(tmp_path) == ({"handled": 2}, {("invocations", 0): 2})


async def test_the_end_waits_for_what_is_being_written_and_writes_last(tmp_path: Path, disk: SlowDisk) -> None:
    runner, _, bus = made(tmp_path)
    await runner.start()
    await bus.handler([record(0)])
    ticking = asyncio.ensure_future(runner.tick(NOON))
    assert await asyncio.to_thread(disk.begun.wait, 30)
    ticking.cancel()
    await asyncio.wait({ticking})
    await bus.handler([record(1)])
    stopping = asyncio.ensure_future(runner.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    disk.go_on.set()
    assert await stopping is True
    assert (disk.most, disk.written) == (1, 2)
    assert kept(tmp_path) == ({"handled": 2}, {("invocations", 0): 2})


async def test_a_state_that_takes_long_to_keep_is_kept_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()

    def slow(snapshots: Snapshots, service: str, body: bytes) -> None:
        watch.now += 0.5
        write(snapshots, service, body)

    monkeypatch.setattr(Snapshots, "write", slow)
    runner, _, bus = made(tmp_path, watch)
    await runner.start()
    written: list[tuple[int, Any]] = []
    for second in range(8):
        watch.now = max(watch.now, second)
        await bus.handler([record(second)])
        await runner.tick(NOON)
        written.append((second, kept(tmp_path)[0]["handled"]))
    assert written == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 7), (7, 7)]
    await runner.stop()
    assert kept(tmp_path)[0] == {"handled": 8}


async def test_a_tick_while_the_broker_is_away_is_left_to_the_next(caplog: pytest.LogCaptureFixture) -> None:
    stopping = asyncio.Event()
    ticks = 0

    async def tick(now: datetime) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            stopping.set()
            return
        raise RetryLater("no broker")

    async def failed() -> None:
        await asyncio.Event().wait()

    await asyncio.wait_for(keep_ticking(tick, failed, VirtualClock(NOON), stopping, 0), 5)
    assert ticks == 3
    assert [r.levelname for r in caplog.records if "no broker" in r.getMessage()] == ["WARNING"]
