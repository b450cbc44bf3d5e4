"""Deadlines of many on one timer."""

import asyncio
from dataclasses import dataclass, field

from understudies.router.http1.deadlines import DeadlineTimer


@dataclass(eq=False)
class FakeListener:
    """Keeps when its time was over."""

    at: list[float] = field(default_factory=list)

    def on_deadline(self) -> None:
        self.at.append(asyncio.get_running_loop().time())


async def test_a_deadline_passes_once_and_not_too_soon() -> None:
    loop = asyncio.get_running_loop()
    alarm, one, other = DeadlineTimer(loop), FakeListener(), FakeListener()
    began = loop.time()
    alarm.set(one, 0.05)
    alarm.set(other, 0.02)
    await asyncio.sleep(0.2)
    assert len(one.at) == len(other.at) == 1
    assert began + 0.02 <= other.at[0] <= one.at[0]
    assert one.at[0] >= began + 0.05


async def test_one_that_is_put_off_or_dropped_does_not_pass() -> None:
    loop = asyncio.get_running_loop()
    alarm, late, dropped = DeadlineTimer(loop), FakeListener(), FakeListener()
    alarm.set(late, 0.02)
    alarm.set(dropped, 0.02)
    alarm.cancel(dropped)
    alarm.cancel(dropped)
    for _ in range(5):
        await asyncio.sleep(0.01)
        alarm.set(late, 0.1)
    last = loop.time()
    await asyncio.sleep(0.05)
    assert not late.at
    await asyncio.sleep(0.2)
    assert len(late.at) == 1
    assert late.at[0] >= last + 0.09
    assert not dropped.at


async def test_it_may_be_set_for_sooner_and_again_once_it_has_passed() -> None:
    alarm, late = DeadlineTimer(asyncio.get_running_loop()), FakeListener()
    for times in (1, 2):
        alarm.set(late, 60)
        alarm.set(late, 0.01)
        await asyncio.sleep(0.1)
        assert len(late.at) == times


async def test_whoever_is_told_may_ask_for_more_time_or_end_it_all() -> None:
    alarm = DeadlineTimer(asyncio.get_running_loop())
    told: list[str] = []

    class Again:
        def on_deadline(self) -> None:
            told.append("again")
            if len(told) == 3:
                alarm.close()
            else:
                alarm.set(self, 0.01)

    alarm.set(Again(), 0.01)
    await asyncio.sleep(0.2)
    assert told == ["again"] * 3


async def test_one_timer_does_for_all_of_a_connection_s_calls() -> None:
    class Counting:
        def __init__(self) -> None:
            self.timers = 0

        def time(self) -> float:
            return loop.time()

        def call_at(self, *args: object) -> asyncio.TimerHandle:
            self.timers += 1
            return loop.call_at(*args)  # type: ignore[arg-type]

    loop, counting, late = asyncio.get_running_loop(), Counting(), FakeListener()
    alarm = DeadlineTimer(counting)  # type: ignore[arg-type]
    for _ in range(100):
        alarm.set(late, 60)
        alarm.cancel(late)
    assert counting.timers == 1
    alarm.close()
    alarm.set(late, 0.01)
    await asyncio.sleep(0.05)
    assert counting.timers == 1
    assert not late.at
