"""Events wait for the bus, calls do not."""

import asyncio

import pytest
from tests.support.chat_messages import user_request
from tests.support.router_fixtures import NOON

from understudies.events import Event, Invocation, fingerprint
from understudies.router.recording.recorder import InProcessRecorder
from understudies.runtime.errors import Reject, RetryLater


def event(number: int) -> Invocation:
    request = user_request(f"call {number}")
    return Invocation(
        id=f"call-{number}", at=NOON, task="triage", request=request, error="none", fingerprint=fingerprint(request)
    )


class Bus:
    """Takes events, or fails with the next of its errors; refuses some for ever."""

    def __init__(self, *errors: Exception, refused: frozenset[str] = frozenset()) -> None:
        self.taken: list[str] = []
        self.batches: list[int] = []
        self._errors = list(errors)
        self._refused = refused
        self.done = asyncio.Event()

    async def __call__(self, *events: Event) -> None:
        if self._errors:
            raise self._errors.pop(0)
        if any(one.id in self._refused for one in events):
            raise Reject("too large")
        self.taken += [one.id for one in events]
        self.batches.append(len(events))
        self.done.set()


async def test_nothing_is_delivered_before_the_flush_where_delivery_is_by_hand() -> None:
    bus = Bus()
    recorder = InProcessRecorder(bus, auto=False)
    await recorder.start()
    recorder.record(event(1))
    recorder.record(event(2))
    assert (bus.taken, len(recorder)) == ([], 2)
    await recorder.flush()
    assert (bus.taken, len(recorder)) == (["call-1", "call-2"], 0)


async def test_events_are_delivered_in_order_and_in_batches() -> None:
    bus = Bus()
    recorder = InProcessRecorder(bus, auto=False, batch_size=3)
    for number in range(7):
        recorder.record(event(number))
    await recorder.flush()
    assert bus.taken == [f"call-{number}" for number in range(7)]
    assert bus.batches == [3, 3, 1]


async def test_events_are_delivered_in_the_background() -> None:
    bus = Bus()
    recorder = InProcessRecorder(bus)
    await recorder.start()
    recorder.record(event(1))
    await asyncio.wait_for(bus.done.wait(), 5)
    await recorder.stop()
    assert bus.taken == ["call-1"]


async def test_a_full_buffer_drops_and_counts_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    recorder = InProcessRecorder(bus, auto=False, capacity=2)
    for number in range(5):
        recorder.record(event(number))
    assert recorder.dropped == 3
    assert [r.getMessage() for r in caplog.records] == ["1 events lost so far, by reason: {'buffer_full': 1}"]
    await recorder.flush()
    assert bus.taken == ["call-0", "call-1"]


async def test_the_background_waits_for_a_bus_that_is_away() -> None:
    bus = Bus(RetryLater("away"), RetryLater("still away"))
    recorder = InProcessRecorder(bus, retry_s=(0.001, 0.002))
    await recorder.start()
    recorder.record(event(1))
    await asyncio.wait_for(bus.done.wait(), 5)
    await recorder.stop()
    assert (bus.taken, recorder.dropped) == (["call-1"], 0)


async def test_a_flush_says_that_the_bus_is_away_and_keeps_the_events() -> None:
    bus = Bus(RetryLater("away"))
    recorder = InProcessRecorder(bus, auto=False)
    recorder.record(event(1))
    with pytest.raises(RetryLater, match="away"):
        await recorder.flush()
    await recorder.flush()
    assert bus.taken == ["call-1"]


async def test_an_event_that_can_never_be_delivered_does_not_hold_up_the_others() -> None:
    bus = Bus(refused=frozenset({"call-1"}))
    recorder = InProcessRecorder(bus, auto=False)
    for number in range(3):
        recorder.record(event(number))
    await recorder.flush()
    assert (bus.taken, recorder.dropped, len(recorder)) == (["call-0", "call-2"], 1, 0)


async def test_stopping_delivers_what_waits() -> None:
    bus = Bus()
    recorder = InProcessRecorder(bus, auto=False)
    recorder.record(event(1))
    await recorder.stop()
    assert bus.taken == ["call-1"]


async def test_stopping_goes_on_without_a_bus(caplog: pytest.LogCaptureFixture) -> None:
    recorder = InProcessRecorder(Bus(RetryLater("away")), auto=False)
    recorder.record(event(1))
    await recorder.stop()
    assert "1 events were not delivered" in caplog.text


async def test_delivering_within_a_time_says_whether_all_was_taken() -> None:
    bus = Bus(RetryLater("away"))
    recorder = InProcessRecorder(bus, auto=False)
    recorder.record(event(1))
    assert await recorder.deliver() is False
    assert await recorder.deliver() is True
    assert bus.taken == ["call-1"]
