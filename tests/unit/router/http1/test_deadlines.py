"""Blocks that are to end in time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from understudies.router.http1.deadlines import DeadlineFactory

SOON, LATER = 0.05, 60.0


async def bounded(deadlines: DeadlineFactory, seconds: float, work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that a block took which was late; raises AssertionError where it was not."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError), deadlines.within(seconds):
        await work()
    return asyncio.get_running_loop().time() - began


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_block_that_is_late_is_cancelled_and_its_task_goes_on() -> None:
    took = await bounded(DeadlineFactory(), SOON, for_ever)
    assert SOON - 0.002 <= took < 5
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_block_that_is_late_from_the_start_is_cancelled_where_it_waits() -> None:
    assert await bounded(DeadlineFactory(), -1.0, for_ever) < 5


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    deadlines = DeadlineFactory()
    with deadlines.within(SOON):
        await asyncio.sleep(0)
    await asyncio.sleep(3 * SOON)
    with deadlines.within(LATER):
        await asyncio.sleep(3 * SOON)


@pytest.mark.parametrize("spans", [(LATER, SOON), (SOON, LATER), (SOON, 2 * SOON), (SOON, SOON + 0.001)])
async def test_each_block_has_its_own_time(spans: tuple[float, float]) -> None:
    deadlines = DeadlineFactory()
    first, second = (asyncio.create_task(bounded(deadlines, span, for_ever)) for span in spans)
    async with asyncio.timeout(20):
        for task, span in ((first, spans[0]), (second, spans[1])):
            if span == LATER:
                continue
            assert span - 0.002 <= await task
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_a_block_may_be_given_more_time_or_less() -> None:
    deadlines = DeadlineFactory()
    with deadlines.within(SOON) as more:
        more.extend(LATER)
        await asyncio.sleep(3 * SOON)
    with pytest.raises(TimeoutError), deadlines.within(LATER) as less:  # noqa: PT012 - the block is what is tested
        less.extend(SOON)
        await for_ever()


async def test_no_more_time_is_given_to_a_block_that_is_late() -> None:
    deadlines = DeadlineFactory()
    with pytest.raises(TimeoutError), deadlines.within(SOON) as bound:  # noqa: PT012 - the block is what is tested
        try:
            await for_ever()
        finally:
            bound.extend(LATER)


async def test_who_is_cancelled_is_not_late() -> None:
    deadlines = DeadlineFactory()
    began = asyncio.Event()

    async def work() -> None:
        with deadlines.within(LATER):
            began.set()
            await for_ever()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_late_and_cancelled_is_cancelled() -> None:
    deadlines = DeadlineFactory()

    async def work() -> None:
        with deadlines.within(SOON):
            try:
                await for_ever()
            finally:
                task.cancel()

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_its_own_is_a_late_blocks_error() -> None:
    with pytest.raises(KeyError), DeadlineFactory().within(SOON):  # noqa: PT012 - the block is what is tested
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise KeyError from None
    await asyncio.sleep(0)


async def test_blocks_in_blocks() -> None:
    deadlines = DeadlineFactory()
    with deadlines.within(LATER):
        await bounded(deadlines, SOON, for_ever)
        await asyncio.sleep(0)


async def test_many_blocks_take_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at, timers = loop.call_at, 0

    def counting(*arguments: object, **named: object) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_at", counting)
    deadlines = DeadlineFactory()
    for _ in range(100):
        with deadlines.within(LATER):
            pass
    assert timers == 1


def test_another_loop_has_a_timer_of_its_own() -> None:
    deadlines = DeadlineFactory()

    async def in_time() -> None:
        with deadlines.within(SOON):
            pass

    asyncio.run(in_time())
    asyncio.run(bounded(deadlines, 2 * SOON, for_ever))
