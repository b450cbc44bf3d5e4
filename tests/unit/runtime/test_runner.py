"""The runner: what a snapshot claims to have, and how a service ends."""

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.sample_events import make_invocation

from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, Event, Topic
from understudies.runtime import runner as runner_module
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.deduplication import SeenIds
from understudies.runtime.bus.messages import Offsets, Record
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import ConfigurationError, RetryLater, StopService
from understudies.runtime.runner import Runner
from understudies.runtime.service import Checkpoint
from understudies.runtime.snapshots import SnapshotStore
from understudies.runtime.ticking import keep_ticking

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class FakeRunnerBus:
    """Hands over what it is told to."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.stop_error: Exception | None = None
        self.start_offsets: Callable[[], Offsets] = dict
        self.on_assigned: Any = None
        self.on_revoked: Any = None
        self.topic_ids: dict[str, str] = {}
        self.assignment_count = 1
        self.errors: list[Exception] = []
        self.end_offsets: Offsets = {}
        self.committed_offsets: Offsets = {}
        self.end_offset_requests = 0
        self.started = asyncio.Event()
        self.is_tracked = False

    def consume(
        self, topics: Sequence[Topic], handler: Any, *, start: Any, on_assigned: Any, on_revoked: Any, **rest: Any
    ) -> None:
        self.handler = handler
        self.start_offsets, self.on_assigned, self.on_revoked = start, on_assigned, on_revoked

    async def start(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.started.set()

    async def fetch_end_offsets(self, consumed: Offsets, topics: Sequence[Topic] | None = None) -> Offsets:
        self.end_offset_requests += 1
        return self.end_offsets

    async def fetch_committed_offsets(self) -> Offsets:
        if self.errors:
            raise self.errors.pop(0)
        return self.committed_offsets

    async def stop(self) -> None: ...

    async def wait_stopped(self) -> None:
        await asyncio.Event().wait()


class CountingService:
    """Counts records; waits where told to."""

    name = "counter"
    topics: Sequence[Topic] = (INVOCATIONS,)
    max_records = 100

    def __init__(self) -> None:
        self.handled = 0
        self.busy = asyncio.Event()
        self.resume = asyncio.Event()
        self.resume.set()

    async def start(self) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.busy.set()
        await self.resume.wait()
        self.handled += len(records)

    async def tick(self, now: datetime) -> None: ...

    async def stop(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {"handled": self.handled}

    async def restore(self, state: dict[str, Any]) -> None:
        self.handled = state["handled"]


class FakeTimer:
    """A time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_runner(tmp_path: Path, watch: FakeTimer | None = None) -> tuple[Runner, CountingService, FakeRunnerBus]:
    app, bus = CountingService(), FakeRunnerBus()
    snapshots, timer = SnapshotStore(tmp_path), watch or FakeTimer()
    return Runner(app, cast(Bus, bus), snapshots=snapshots, generation="life-1", timer=timer), app, bus


def load_snapshot(tmp_path: Path) -> tuple[dict[str, Any], Offsets]:
    snapshot = SnapshotStore(tmp_path).load("counter")
    assert snapshot is not None
    return snapshot.state, snapshot.offsets


def make_record(offset: int, partition: int = 0) -> Record:
    return Record(INVOCATIONS.name, partition, offset, None, b"{}")


def load_since(tmp_path: Path) -> datetime | None:
    snapshot = SnapshotStore(tmp_path).load("counter")
    assert snapshot is not None
    return snapshot.since


async def test_a_snapshot_claims_what_was_stored_only_where_it_has_all_of_it(tmp_path: Path) -> None:
    runner, _, bus = make_runner(tmp_path)
    await runner.start()
    await bus.handler([make_record(0)])
    await runner.tick(NOON, Checkpoint(NOON, {("invocations", 0): 1, ("verdicts", 0): 9}))
    assert load_since(tmp_path) == NOON
    await bus.handler([make_record(1)])
    await runner.tick(NOON, Checkpoint(NOON + timedelta(seconds=1), {("invocations", 0): 3}))
    assert load_since(tmp_path) == NOON
    await bus.handler([make_record(2)])
    await runner.tick(NOON, Checkpoint(NOON + timedelta(seconds=2), {("invocations", 0): 3}))
    assert load_since(tmp_path) == NOON + timedelta(seconds=2)


async def test_what_was_missed_is_asked_for_from_the_snapshot_on_and_handled_first(tmp_path: Path) -> None:
    runner, _, bus = make_runner(tmp_path)
    await runner.start()
    await bus.handler([make_record(0)])
    await runner.tick(NOON, Checkpoint(NOON, {("invocations", 0): 1}))
    asked: list[datetime | None] = []

    async def missed(moment: datetime | None, topics: Sequence[Topic]) -> AsyncIterator[Sequence[Event]]:
        asked.append(moment)
        assert list(topics) == [INVOCATIONS]
        yield [make_invocation("one"), make_invocation("two")]

    again, app, _ = make_runner(tmp_path)
    await again.start(missed)
    assert asked == [NOON]
    assert app.handled == 3
    await again.stop()
    assert load_since(tmp_path) == NOON


async def test_a_service_in_the_middle_of_its_work_is_left_with_its_last_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_S", 0.01)
    runner, app, bus = make_runner(tmp_path)
    await runner.start()
    await bus.handler([make_record(0)])
    await runner.tick(NOON)
    app.busy.clear()
    app.resume.clear()
    working = asyncio.ensure_future(bus.handler([make_record(1)]))
    await app.busy.wait()
    assert await runner.stop() is False
    app.resume.set()
    await working
    snapshot = SnapshotStore(tmp_path).load("counter")
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


class BuslessService(CountingService):
    """Works without its bus, and notes from when on it knows what there is to know."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[str] = []
        self.caught_up = asyncio.Event()

    def mark_stale(self) -> None:
        self.history.append("behind")

    async def start(self) -> None:
        self.history.append("start")

    def mark_caught_up(self) -> None:
        self.history.append(f"caught up after {self.handled}")
        self.caught_up.set()


def shorten_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_S", 0.01)


async def test_who_follows_starts_without_the_bus_and_is_told_once_it_has_caught_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shorten_patience(monkeypatch)
    app, bus = BuslessService(), FakeRunnerBus()
    bus.errors = [RetryLater("no broker at 'kafka:9092'"), ConfigurationError("no topics"), KeyError("odd")]
    bus.end_offsets = {("invocations", 0): 2, ("invocations", 1): 0}
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    assert app.history == ["behind", "start"]
    await asyncio.wait_for(bus.started.wait(), 5)
    await bus.handler([make_record(0)])
    assert not app.caught_up.is_set()
    await bus.handler([make_record(1)])
    await asyncio.wait_for(app.caught_up.wait(), 5)
    assert app.history == ["behind", "start", "caught up after 2"]
    assert [r.levelname for r in caplog.records if "continues without its bus" in r.getMessage()] == ["WARNING"]
    await runner.stop()


async def test_who_follows_has_caught_up_at_the_start_where_nothing_is_left_to_read() -> None:
    app, bus = BuslessService(), FakeRunnerBus()
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    assert app.history == ["behind", "start", "caught up after 0"]
    await runner.stop()


@pytest.mark.parametrize("trouble", [ConfigurationError("no topics ['drift']: create them"), KeyError("no topics")])
async def test_what_no_waiting_mends_is_refused_at_the_start_of_who_follows_too(trouble: Exception) -> None:
    bus = FakeRunnerBus()
    bus.errors = [trouble]
    with pytest.raises(type(trouble), match="no topics"):
        await Runner(BuslessService(), cast(Bus, bus)).start()


async def test_who_does_not_follow_does_not_start_without_the_bus() -> None:
    bus = FakeRunnerBus()
    bus.errors = [RetryLater("no broker")]
    with pytest.raises(RetryLater):
        await Runner(CountingService(), cast(Bus, bus)).start()


async def test_who_waits_for_the_bus_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_patience(monkeypatch)
    app, bus = BuslessService(), FakeRunnerBus()
    bus.errors = [RetryLater("no broker")] * 1000
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    assert await asyncio.wait_for(runner.stop(), 5)
    assert app.history == ["behind", "start"]


class PeriodService(CountingService):
    """Notes at each tick whether it was told that it is behind, and is due until it was not."""

    def __init__(self) -> None:
        super().__init__()
        self.is_behind = False
        self.due = True
        self.behind_at_ticks: list[bool] = []

    def is_period_due(self, now: datetime) -> bool:
        return self.due

    async def tick(self, now: datetime) -> None:
        self.behind_at_ticks.append(self.is_behind)
        self.due = self.due and self.is_behind


async def start_period_runner() -> tuple[Runner, PeriodService, FakeRunnerBus]:
    app, bus = PeriodService(), FakeRunnerBus()
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    return runner, app, bus


async def test_who_reckons_is_behind_until_it_has_handled_what_the_topics_held() -> None:
    runner, app, bus = await start_period_runner()
    bus.end_offsets = {("invocations", 0): 2, ("invocations", 1): 0}
    await runner.tick(NOON)
    await bus.handler([make_record(0)])
    # What comes meanwhile is no part of it: else a busy topic would never end.
    bus.end_offsets = {("invocations", 0): 1000, ("invocations", 1): 0}
    await runner.tick(NOON)
    await bus.handler([make_record(1)])
    await runner.tick(NOON)
    assert app.behind_at_ticks == [True, True, False]
    assert bus.end_offset_requests == 1
    await runner.tick(NOON)
    assert bus.end_offset_requests == 1, "nothing is due any more"
    app.due = True
    await runner.tick(NOON)
    assert (app.behind_at_ticks[-1], bus.end_offset_requests) == (True, 2)
    await runner.stop()


async def test_who_reckons_is_behind_while_it_reads_no_partition_or_its_bus_is_away() -> None:
    runner, app, bus = await start_period_runner()
    await runner.tick(NOON)
    bus.end_offsets = {("invocations", 0): 0}
    bus.errors = [RetryLater("no broker")]
    await runner.tick(NOON)
    await runner.tick(NOON)
    assert app.behind_at_ticks == [True, True, False]
    await runner.stop()


async def test_who_reckons_handles_what_comes_while_its_bus_looks_where_the_topics_end() -> None:
    runner, app, bus = await start_period_runner()

    async def ends(done: Offsets) -> Offsets:
        await bus.handler([make_record(0)])
        return {("invocations", 0): 1}

    bus.fetch_end_offsets = ends  # type: ignore[method-assign, assignment]  # it takes as long as handling does
    await asyncio.wait_for(runner.tick(NOON), 5)
    assert (app.behind_at_ticks, app.handled) == ([False], 1)
    await runner.stop()


async def test_a_partition_that_another_process_has_by_then_does_not_keep_it_behind_for_ever() -> None:
    now = 0.0
    app, bus = PeriodService(), FakeRunnerBus()
    runner = Runner(app, cast(Bus, bus), timer=lambda: now)
    await runner.start()
    bus.end_offsets = {("invocations", 0): 1, ("invocations", 1): 9}
    await runner.tick(NOON)
    await bus.handler([make_record(0)])
    bus.end_offsets = {("invocations", 0): 1}
    await runner.tick(NOON)
    now = 601.0
    await runner.tick(NOON)
    await runner.tick(NOON)
    assert app.behind_at_ticks == [True, True, True, False]


async def test_where_flow_is_counted_nobody_is_behind() -> None:
    app, bus = PeriodService(), FakeRunnerBus()
    bus.is_tracked, bus.end_offsets = True, {("invocations", 0): 1}
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    await runner.tick(NOON)
    assert app.behind_at_ticks == [False]


async def test_what_its_group_had_handled_before_does_not_keep_it_behind() -> None:
    runner, app, bus = await start_period_runner()
    bus.end_offsets = {("invocations", 0): 7, ("invocations", 1): 1}
    bus.committed_offsets = {("invocations", 0): 7}
    await runner.tick(NOON)
    await bus.handler([make_record(0, partition=1)])
    await runner.tick(NOON)
    assert app.behind_at_ticks == [True, False]
    await runner.stop()


class DrainingService(CountingService):
    """Has guests until it is told to go on, and handles events meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = asyncio.Event()
        self.drained = asyncio.Event()

    async def drain(self) -> None:
        self.draining.set()
        await self.drained.wait()


async def test_events_are_handled_while_a_service_finishes_what_others_wait_for() -> None:
    app, bus = DrainingService(), FakeRunnerBus()
    runner = Runner(app, cast(Bus, bus))
    await runner.start()
    stopping = asyncio.ensure_future(runner.stop())
    await app.draining.wait()
    await asyncio.wait_for(bus.handler([make_record(0)]), 5)
    assert app.handled == 1
    app.drained.set()
    assert await stopping


class PromotionService(CountingService):
    """Follows promotions too."""

    topics = (INVOCATIONS, PROMOTIONS, DRIFT)


class ReplayingService(PromotionService):
    """Names what it reads again."""

    replay_topics = (PROMOTIONS, DRIFT)


@pytest.mark.parametrize(
    ("app", "begins"),
    [
        (CountingService(), {}),
        (PromotionService(), {("promotions", 0): 0}),
        (ReplayingService(), {("promotions", 0): 0, ("drift", 0): 0, ("drift", 1): 0}),
    ],
)
async def test_without_a_snapshot_what_is_kept_for_ever_is_read_from_its_beginning(
    tmp_path: Path, app: CountingService, begins: Offsets
) -> None:
    bus = FakeRunnerBus()
    await Runner(app, cast(Bus, bus), snapshots=SnapshotStore(tmp_path)).start()
    assert bus.start_offsets() == begins


async def test_with_a_snapshot_it_goes_on_from_there(tmp_path: Path) -> None:
    bus = FakeRunnerBus()
    SnapshotStore(tmp_path).save("counter", {"handled": 3}, {("promotions", 0): 3}, "")
    await Runner(PromotionService(), cast(Bus, bus), snapshots=SnapshotStore(tmp_path)).start()
    assert bus.start_offsets() == {("promotions", 0): 3}


class FittedService(CountingService):
    """Has state that pydantic reads."""

    async def restore(self, state: dict[str, Any]) -> None:
        self.handled = SeenIds.from_state(state["handled"]).state()


async def test_a_snapshot_that_does_not_fit_stops_the_service_and_says_what_to_do(tmp_path: Path) -> None:
    for app, state in ((CountingService(), {}), (FittedService(), {"handled": "a secret prompt"})):
        bus = FakeRunnerBus()
        SnapshotStore(tmp_path).save("counter", state, {}, "")
        with pytest.raises(StopService, match=r"the snapshot of counter does not fit this version .*backup") as raised:
            await Runner(app, cast(Bus, bus), snapshots=SnapshotStore(tmp_path)).start()
        assert "secret" not in str(raised.value)
        assert SnapshotStore(tmp_path).load("counter") is not None, "it stays for whoever investigates"


async def test_a_full_disk_ends_nothing_and_the_state_is_kept_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runner, _, bus = make_runner(tmp_path)
    await runner.start()
    await bus.handler([make_record(0)])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotStore, "write", full)
        await runner.tick(NOON)
        await runner.tick(NOON)
    assert [r.levelname for r in caplog.records if "No space left" in r.getMessage()] == ["ERROR"]
    await runner.tick(NOON)
    snapshot = SnapshotStore(tmp_path).load("counter")
    assert snapshot is not None
    assert snapshot.state == {"handled": 1}


class SlowDisk:
    """Writes when it is told to, and says when it has begun."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.at_once = self.most = self.written = 0

    def __call__(self, snapshots: SnapshotStore, service: str, body: bytes) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        assert self.go_on.wait(30)
        write(snapshots, service, body)
        self.at_once -= 1
        self.written += 1


write = SnapshotStore.write


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk()
    monkeypatch.setattr(SnapshotStore, "write", lambda *given: disk(*given))
    yield disk
    disk.go_on.set()


async def test_a_service_goes_on_while_its_state_is_written_as_it_was(tmp_path: Path, disk: SlowDisk) -> None:
    runner, app, bus = make_runner(tmp_path)
    await runner.start()
    await bus.handler([make_record(0)])
    ticking = asyncio.ensure_future(runner.tick(NOON))
    assert await asyncio.to_thread(disk.begun.wait, 30)
    await bus.handler([make_record(1)])
    assert (app.handled, ticking.done()) == (2, False)
    disk.go_on.set()
    await ticking
    assert load_snapshot(tmp_path) == ({"handled": 1}, {("invocations", 0): 1})
    await runner.tick(NOON)
    assert load_snapshot(tmp_path) == ({"handled": 2}, {("invocations", 0): 2})


async def test_the_end_waits_for_what_is_being_written_and_writes_last(tmp_path: Path, disk: SlowDisk) -> None:
    runner, _, bus = make_runner(tmp_path)
    await runner.start()
    await bus.handler([make_record(0)])
    ticking = asyncio.ensure_future(runner.tick(NOON))
    assert await asyncio.to_thread(disk.begun.wait, 30)
    ticking.cancel()
    await asyncio.wait({ticking})
    await bus.handler([make_record(1)])
    stopping = asyncio.ensure_future(runner.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    disk.go_on.set()
    assert await stopping is True
    assert (disk.most, disk.written) == (1, 2)
    assert load_snapshot(tmp_path) == ({"handled": 2}, {("invocations", 0): 2})


async def test_a_state_that_takes_long_to_keep_is_kept_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = FakeTimer()

    def slow(snapshots: SnapshotStore, service: str, body: bytes) -> None:
        watch.now += 0.5
        write(snapshots, service, body)

    monkeypatch.setattr(SnapshotStore, "write", slow)
    runner, _, bus = make_runner(tmp_path, watch)
    await runner.start()
    written: list[tuple[int, Any]] = []
    for second in range(8):
        watch.now = max(watch.now, second)
        await bus.handler([make_record(second)])
        await runner.tick(NOON)
        written.append((second, load_snapshot(tmp_path)[0]["handled"]))
    assert written == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 7), (7, 7)]
    await runner.stop()
    assert load_snapshot(tmp_path)[0] == {"handled": 8}


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


class DecidingService(CountingService):
    """Decides at every tick."""

    topics: Sequence[Topic] = (INVOCATIONS, PROMOTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.decisions = 0

    async def tick(self, now: datetime) -> None:
        self.decisions += 1


def make_deciding_runner(tmp_path: Path) -> tuple[Runner, DecidingService, FakeRunnerBus]:
    app, bus = DecidingService(), FakeRunnerBus()
    return Runner(app, cast(Bus, bus), snapshots=SnapshotStore(tmp_path), generation="life-1"), app, bus


def make_promotion_record(offset: int) -> Record:
    return Record(PROMOTIONS.name, 0, offset, None, b"{}")


async def test_a_process_that_stands_by_decides_nothing(tmp_path: Path) -> None:
    runner, app, bus = make_deciding_runner(tmp_path)
    bus.assignment_count = 0
    await runner.start()
    await runner.tick(NOON)
    assert app.decisions == 0
    bus.assignment_count = 1
    await runner.tick(NOON)
    assert app.decisions == 1


async def test_a_process_that_has_only_stood_by_leaves_no_snapshot(tmp_path: Path) -> None:
    runner, _, bus = make_deciding_runner(tmp_path)
    bus.assignment_count = 0
    await runner.start()
    await runner.tick(NOON)
    await runner.stop()
    assert SnapshotStore(tmp_path).load("counter") is None


async def test_nothing_is_decided_before_what_was_decided_is_read(tmp_path: Path) -> None:
    runner, app, bus = make_deciding_runner(tmp_path)
    bus.end_offsets = {("promotions", 0): 2}
    await runner.start()
    await bus.handler([make_promotion_record(0)])
    await runner.tick(NOON)
    assert app.decisions == 0
    await bus.handler([make_promotion_record(1)])
    await runner.tick(NOON)
    await runner.tick(NOON)
    assert (app.decisions, bus.end_offset_requests) == (2, 1)


async def test_an_owner_that_was_another_meanwhile_reads_first_what_that_one_decided(tmp_path: Path) -> None:
    runner, app, bus = make_deciding_runner(tmp_path)
    await runner.start()
    await bus.handler([make_promotion_record(0)])
    await runner.tick(NOON)
    bus.assignment_count, bus.end_offsets = 2, {("promotions", 0): 2}
    await runner.tick(NOON)
    assert app.decisions == 1
    await bus.handler([make_promotion_record(1)])
    await runner.tick(NOON)
    assert app.decisions == 2


async def test_nothing_is_decided_while_the_broker_does_not_say_where_its_topics_end(tmp_path: Path) -> None:
    runner, app, bus = make_deciding_runner(tmp_path)

    async def ends(consumed: Offsets, topics: Sequence[Topic]) -> Offsets:
        raise RetryLater("no broker")

    bus.fetch_end_offsets = ends  # type: ignore[method-assign, assignment]
    await runner.start()
    await runner.tick(NOON)
    assert app.decisions == 0


async def test_an_owner_goes_on_where_its_state_is_whatever_the_group_has_committed(tmp_path: Path) -> None:
    runner, _, bus = make_deciding_runner(tmp_path)
    await runner.start()
    assert bus.start_offsets() == {("promotions", 0): 0}
    await bus.handler([make_promotion_record(4), make_record(7)])
    assert bus.start_offsets() == {("promotions", 0): 5, ("invocations", 0): 8}


async def test_a_batch_in_progress_is_finished_before_another_process_goes_on(tmp_path: Path) -> None:
    runner, app, bus = make_deciding_runner(tmp_path)
    await runner.start()
    app.resume.clear()
    batch = asyncio.create_task(bus.handler([make_record(0)]))
    await app.busy.wait()
    revoked = asyncio.create_task(bus.on_revoked())
    await asyncio.sleep(0)
    assert not revoked.done()
    app.resume.set()
    await revoked
    assert app.handled == 1
    await batch


async def test_partitions_without_any_record_yet_are_in_the_first_snapshot(tmp_path: Path) -> None:
    runner, _, bus = make_runner(tmp_path)
    await runner.start()
    await bus.on_assigned({("invocations", 0): 0, ("invocations", 1): 7})
    assert load_snapshot(tmp_path) == ({"handled": 0}, {("invocations", 0): 0, ("invocations", 1): 7})
    await bus.handler([Record("invocations", 1, 7, None, b"")])
    # Assigned again, such as after a rebalance: what was handled counts.
    await bus.on_assigned({("invocations", 0): 0, ("invocations", 1): 7})
    assert bus.start_offsets() == {("invocations", 0): 0, ("invocations", 1): 8}


async def test_while_work_goes_on_new_partitions_wait_for_the_next_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_S", 0.01)
    runner, app, bus = make_runner(tmp_path)
    await runner.start()
    app.resume.clear()
    working = asyncio.create_task(bus.handler([Record("invocations", 0, 0, None, b"")]))
    await app.busy.wait()
    await bus.on_assigned({("invocations", 1): 3})
    app.resume.set()
    await working
    await runner.tick(NOON)
    assert load_snapshot(tmp_path) == ({"handled": 1}, {("invocations", 0): 1, ("invocations", 1): 3})


def make_moved_runner(
    tmp_path: Path, address: str, topic_ids: dict[str, str], *, decide: bool = True
) -> tuple[Runner, FakeRunnerBus]:
    bus = FakeRunnerBus()
    bus.topic_ids = topic_ids
    snapshots = SnapshotStore(tmp_path)
    runner = Runner(
        CountingService(), cast(Bus, bus), snapshots=snapshots, generation=address, topic_ids_decide=decide,
        default_offsets={("invocations", 0): 2},
    )  # fmt: skip
    return runner, bus


async def save_at(tmp_path: Path, address: str, topic_ids: dict[str, str]) -> None:
    runner, bus = make_moved_runner(tmp_path, address, topic_ids)
    await runner.start()
    bus.start_offsets()
    await bus.handler([Record("invocations", 0, 4, None, b""), Record("drift", 0, 1, None, b"")])
    await runner.stop()


async def test_another_address_of_the_same_broker_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = {"invocations": "calls", "drift": "changes"}
    await save_at(tmp_path, "kafka-1:9092,kafka-2:9092", ids)
    runner, bus = make_moved_runner(tmp_path, "kafka-2:9092", ids)
    await runner.start()
    for _ in range(2):
        assert bus.start_offsets() == {("invocations", 0): 5, ("drift", 0): 2}
    assert caplog.text == ""
    # Nor is what the next one finds in the snapshot any less.
    await runner.stop()
    runner, bus = make_moved_runner(tmp_path, "kafka-1:9092", ids)
    await runner.start()
    assert bus.start_offsets() == {("invocations", 0): 5, ("drift", 0): 2}


@pytest.mark.parametrize("ids", [{"invocations": "calls", "drift": "others"}, {"invocations": "calls"}])
async def test_of_another_broker_the_offsets_are_not_those_of_the_snapshot(
    tmp_path: Path, ids: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    await save_at(tmp_path, "kafka-1:9092", {"invocations": "calls", "drift": "changes"})
    runner, bus = make_moved_runner(tmp_path, "kafka-2:9092", ids)
    await runner.start()
    assert bus.start_offsets() == {("invocations", 0): 5}
    assert "counter does not use the offsets that its snapshot has of the topics ['drift']" in caplog.text


async def test_offsets_of_another_generation_that_was_set_are_ignored(tmp_path: Path) -> None:
    ids = {"invocations": "calls", "drift": "changes"}
    await save_at(tmp_path, "before the restore", ids)
    runner, bus = make_moved_runner(tmp_path, "after it", ids, decide=False)
    await runner.start()
    assert bus.start_offsets() == {("invocations", 0): 2}


async def test_a_topic_made_anew_is_read_from_its_beginning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner, _, bus = make_runner(tmp_path)
    bus.topic_ids = {"invocations": "first", "promotions": "kept"}
    await runner.start()
    bus.start_offsets()
    await bus.handler([Record("invocations", 0, 4, None, b""), Record("promotions", 0, 1, None, b"")])
    await runner.stop()
    runner, _, bus = make_runner(tmp_path)
    bus.topic_ids = {"invocations": "second", "promotions": "kept"}
    await runner.start()
    assert bus.start_offsets() == {("invocations", 0): 0, ("promotions", 0): 2}
    assert "counter reads topic 'invocations' from its beginning: it was deleted and made anew" in caplog.text
    caplog.clear()
    assert bus.start_offsets() == {("invocations", 0): 0, ("promotions", 0): 2}
    assert caplog.text == "", "told once"
