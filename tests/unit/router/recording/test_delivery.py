"""While the bus is away events go to disk, newer ones behind older ones, and come back in order."""

import asyncio
import errno
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.recording import FakeBus, event, message, name

from understudies.events import Invocation
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.errors import RetryLater

AT_ONCE: dict[str, Any] = {"linger_s": 0, "retry_s": (0.001, 0.01), "patience_s": 20}


def names(*numbers: int) -> list[str]:
    return [f"call-{number}" for number in numbers]


async def on_disk(recorder: InProcessRecorder, count: int) -> None:
    """Return once memory is empty, and so many events were written to disk."""
    await asyncio.wait_for(recorder.flush(), 20)
    assert recorder.counts.spooled == count


def spoil(folder: Path) -> None:
    """Change a byte in the middle of the only file."""
    (file,) = folder.glob("worker-1/*.spool")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


async def left(folder: Path) -> list[str]:
    """What a run that ended left on disk."""
    backlog = AsyncSpool(folder)
    await backlog.open()
    found: list[str] = []
    while True:
        messages, _ = await backlog.read(100)
        if not messages:
            break
        found += map(name, messages)
        await backlog.acknowledge()
    await backlog.close()
    return found


async def test_events_go_to_disk_when_the_bus_fails_and_all_arrive_in_order(tmp_path: Path) -> None:
    bus = FakeBus(RetryLater("away"), RetryLater("still away"))
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), batch_size=3, **AT_ONCE)
    await recorder.start()
    for number in range(10):
        recorder.record(event(number))
    assert await bus.got(10) == names(*range(10))
    await recorder.stop()
    assert recorder.counts.spooled > 0
    assert (recorder.counts.published, recorder.dropped, recorder.bus_unavailable) == (10, 0, False)
    assert await left(tmp_path) == []


async def test_newer_events_wait_behind_older_ones_on_disk(tmp_path: Path) -> None:
    bus = FakeBus(*[RetryLater("away")] * 3)
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    await recorder.start()
    recorder.record(event(0))
    await on_disk(recorder, 1)
    for number in range(1, 5):
        recorder.record(event(number))
    assert await bus.got(5) == names(*range(5))
    recorder.record(event(5))
    assert await bus.got(6) == names(*range(6))
    await recorder.stop()


async def test_a_bus_that_does_not_answer_is_not_waited_for_and_nothing_comes_twice(tmp_path: Path) -> None:
    bus = FakeBus()
    bus.open.clear()
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **{**AT_ONCE, "patience_s": 0.01})
    await recorder.start()
    recorder.record(event(0))
    await on_disk(recorder, 1)
    assert recorder.bus_unavailable
    recorder.record(event(1))
    await on_disk(recorder, 2)
    bus.open.set()
    assert await bus.got(2) == names(0, 1)
    await recorder.stop()
    assert bus.taken == names(0, 1)
    assert await left(tmp_path) == []


async def test_what_a_partial_answer_says_is_missing_alone_is_sent_again(tmp_path: Path) -> None:
    bus = FakeBus()

    class Partial(NotDelivered):
        """Two of four arrived."""

    async def took_half(messages: list[Any]) -> None:
        bus.taken += [name(messages[0]), name(messages[2])]
        del bus.publish_encoded
        raise Partial("half", [1, 3])

    bus.publish_encoded = took_half  # type: ignore[method-assign, assignment]
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    for number in range(4):
        recorder.record(event(number))
    await recorder.start()
    assert await bus.got(4) == names(0, 2, 1, 3)
    await recorder.stop()
    assert recorder.counts.published == 4


async def test_what_a_full_bus_took_before_the_end_does_not_stay_on_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakeBus()
    reachable, asked = asyncio.Event(), asyncio.Event()

    async def takes_one_at_a_time(messages: list[Any]) -> None:
        if not reachable.is_set():
            raise RetryLater("away")
        if len(bus.taken) == 2:
            asked.set()
            raise RetryLater("full")
        bus.taken.append(name(messages[0]))
        raise NotDelivered("full", list(range(1, len(messages))))

    bus.publish_encoded = takes_one_at_a_time  # type: ignore[method-assign, assignment]
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    for number in range(5):
        recorder.record(event(number))
    await recorder.start()
    await on_disk(recorder, 5)
    reachable.set()
    await asyncio.wait_for(asked.wait(), 20)
    await recorder.stop()
    assert bus.taken == names(0, 1)
    assert await left(tmp_path) == names(2, 3, 4)
    assert "wait on disk; the next start delivers them" in caplog.text


async def test_a_late_partial_answer_counts_too(tmp_path: Path) -> None:
    bus = FakeBus(NotDelivered("the second one", [1]))
    bus.open.clear()
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **{**AT_ONCE, "patience_s": 0.01})
    recorder.record(event(0))
    recorder.record(event(1))
    await recorder.start()
    await on_disk(recorder, 2)
    bus.open.set()
    assert await bus.got(1) == names(1)
    await recorder.stop()
    assert (recorder.counts.published, await left(tmp_path)) == (2, [])


async def test_what_the_bus_refuses_for_ever_is_lost_alone_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakeBus(Undeliverable("too large", [1]))
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    for number in range(3):
        recorder.record(event(number))
    await recorder.start()
    await recorder.flush()
    await recorder.stop()
    assert (recorder.counts.published, recorder.counts.lost["refused"]) == (2, 1)
    assert "event call-1 of task 'triage' is lost: too large" in caplog.text


async def test_memory_running_full_sends_events_to_disk(tmp_path: Path) -> None:
    bus = FakeBus()
    bus.open.clear()
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), capacity=10, batch_size=1, **AT_ONCE)
    await recorder.start()
    recorder.record(event(0))
    await bus.asked.wait()
    for number in range(1, 8):
        recorder.record(event(number))
    await on_disk(recorder, 8)
    assert not recorder.bus_unavailable
    bus.open.set()
    assert await bus.got(8) == names(*range(8))
    await recorder.stop()


async def test_what_is_left_at_the_stop_waits_on_disk_for_the_next_start(tmp_path: Path) -> None:
    away = FakeBus()
    away.open.clear()
    recorder = InProcessRecorder(away, spool=AsyncSpool(tmp_path), **AT_ONCE)
    await recorder.start()
    for number in range(3):
        recorder.record(event(number))
    await recorder.stop(0.05)
    assert away.taken == []
    bus = FakeBus()
    heir = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    heir.record(event(3))
    await heir.start()
    assert await bus.got(4) == names(*range(4))
    await heir.stop()


async def test_a_stop_does_not_wait_for_a_bus_that_is_known_to_be_away(tmp_path: Path) -> None:
    bus = FakeBus(*[RetryLater("away")] * 1000)
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **{**AT_ONCE, "retry_s": (1000, 1000)})
    await recorder.start()
    recorder.record(event(0))
    await on_disk(recorder, 1)
    recorder.record(event(1))
    await asyncio.wait_for(recorder.stop(1000), 20)
    assert await left(tmp_path) == names(0, 1)


async def test_a_stop_delivers_what_is_on_disk_while_the_bus_takes_it(tmp_path: Path) -> None:
    backlog = AsyncSpool(tmp_path)
    await backlog.append([message(number) for number in range(50)])
    await backlog.close()
    bus = FakeBus()
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), batch_size=2, **AT_ONCE)
    await recorder.start()
    await asyncio.wait_for(bus.asked.wait(), 20)
    await recorder.stop()
    assert bus.taken == names(*range(50))


async def test_by_hand_too_what_is_not_taken_is_left_on_disk(tmp_path: Path) -> None:
    recorder = InProcessRecorder(FakeBus(RetryLater("away")), auto=False, spool=AsyncSpool(tmp_path))
    recorder.record(event(0))
    await recorder.stop()
    assert await left(tmp_path) == names(0)


async def test_without_a_disk_events_wait_in_memory_and_the_newest_are_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    bus = FakeBus(*[RetryLater("away")] * 5)
    recorder = InProcessRecorder(
        bus, spool=AsyncSpool(tmp_path / "file"), capacity=4, **{**AT_ONCE, "retry_s": (0.05, 0.05)}
    )
    await recorder.start()
    for number in range(6):
        recorder.record(event(number))
    assert recorder.counts.lost == {"buffer_full": 2}
    assert await bus.got(4) == names(*range(4))
    await recorder.stop()
    assert "the spool cannot be used, events wait in memory" in caplog.text
    assert (recorder.counts.spooled, recorder.counts.published) == (0, 4)


async def test_a_disk_that_fills_up_meanwhile_does_not_lose_what_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    bus = FakeBus(RetryLater("away"))
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    bus.open.set()
    recorder.record(event(0))
    await recorder.start()
    await on_disk(recorder, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        recorder.record(event(1))
        assert await bus.got(2) == names(0, 1)
    await recorder.stop()
    assert recorder.dropped == 0


async def test_beyond_the_disks_share_the_newest_are_dropped_and_counted(tmp_path: Path) -> None:
    bus = FakeBus()
    bus.open.clear()
    backlog = AsyncSpool(tmp_path, limit_bytes=2000)
    recorder = InProcessRecorder(bus, spool=backlog, batch_size=1, **{**AT_ONCE, "patience_s": 0.01})
    await recorder.start()
    for number in range(10):
        recorder.record(event(number))
    await asyncio.wait_for(recorder.flush(), 20)
    kept = recorder.counts.spooled
    assert 0 < kept < 10
    assert recorder.counts.lost == {"spool_full": 10 - kept}
    bus.open.set()
    assert await bus.got(kept) == names(*range(kept))
    await recorder.stop()


async def test_an_unreadable_message_on_disk_is_counted(tmp_path: Path) -> None:
    backlog = AsyncSpool(tmp_path)
    await backlog.append([message(number) for number in range(3)])
    await backlog.close()
    spoil(tmp_path)
    bus = FakeBus()
    recorder = InProcessRecorder(bus, spool=AsyncSpool(tmp_path), **AT_ONCE)
    await recorder.start()
    assert await bus.got(2) == names(0, 2)
    await recorder.stop()
    assert recorder.counts.lost == {"spoilt": 1}


async def test_a_pending_event_is_asked_for_later_and_may_turn_out_to_be_none() -> None:
    bus = FakeBus()
    recorder = InProcessRecorder(bus, auto=False)
    asked: list[int] = []

    def pending(number: int) -> Invocation | None:
        asked.append(number)
        return event(number) if number else None

    recorder.record(lambda: pending(0))
    recorder.record(lambda: pending(1), 50_000)
    assert (asked, len(recorder), recorder.bytes) == ([], 2, 51_024)
    await recorder.flush()
    assert (asked, bus.taken, len(recorder), recorder.bytes) == ([0, 1], names(1), 0, 0)


async def test_what_cannot_be_recorded_is_counted_and_said_without_a_word_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> Invocation:
        raise ValueError("the secret words of the call")

    bus = FakeBus()
    recorder = InProcessRecorder(bus, **AT_ONCE)
    await recorder.start()
    recorder.record(broken)
    recorder.record(event(1))
    assert await bus.got(1) == names(1)
    await recorder.stop()
    assert recorder.counts.unrecordable == 1
    assert "1 calls could not be recorded so far, the last one because of ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_large_call_is_redacted_in_a_thread_and_keeps_its_place() -> None:
    bus = FakeBus()
    recorder = InProcessRecorder(bus, **AT_ONCE)
    for number in range(4):
        recorder.record(partial(event, number), 1_000_000 if number % 2 else 0)
    await recorder.start()
    assert await bus.got(4) == names(*range(4))
    await recorder.stop()


async def test_memory_is_bounded_by_bytes_too() -> None:
    recorder = InProcessRecorder(FakeBus(), auto=False, capacity_bytes=10_000)
    recorder.record(event(0), 20_000)
    recorder.record(event(1), 5_000)
    assert (len(recorder), recorder.dropped) == (1, 1)


async def test_others_have_their_turn_between_slices() -> None:
    bus = FakeBus()
    recorder = InProcessRecorder(bus, slice_s=0, **AT_ONCE)
    written: list[int] = []
    turns: set[int] = set()

    def pending(number: int) -> Invocation:
        written.append(number)
        return event(number)

    async def other() -> None:
        while len(bus.taken) < 100:
            turns.add(len(written))
            await asyncio.sleep(0)

    for number in range(100):
        recorder.record(partial(pending, number))
    await recorder.start()
    await other()
    await recorder.stop()
    assert len(turns) > 10
