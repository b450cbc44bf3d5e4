"""Drained means: every service has handled everything, and nothing can appear by itself."""

import asyncio
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.runtime.bus.in_flight import InFlightTracker


async def is_drained(flow: InFlightTracker) -> bool:
    waiting = asyncio.create_task(flow.wait_until_idle())
    for _ in range(3):
        await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    return done


async def test_nothing_published_is_drained() -> None:
    flow = InFlightTracker()
    flow.register("evaluator", ["invocations"])
    await flow.wait_until_idle()


async def test_it_waits_for_each_service_of_a_topic() -> None:
    flow = InFlightTracker()
    flow.register("evaluator", ["invocations"])
    flow.register("budget", ["invocations"])
    flow.record_published("invocations", 2)
    flow.record_consumed("evaluator", "invocations", 2)
    flow.record_consumed("budget", "invocations", 1)
    assert flow.lag == {"budget": 1}
    waiting = asyncio.create_task(flow.wait_until_idle())
    await asyncio.sleep(0)
    assert not waiting.done()
    flow.record_consumed("budget", "invocations", 1)
    await waiting


async def test_what_a_handler_publishes_is_waited_for_too() -> None:
    flow = InFlightTracker()
    flow.register("evaluator", ["invocations"])
    flow.register("budget", ["verdicts"])
    flow.record_published("invocations")
    flow.record_published("verdicts")
    flow.record_consumed("evaluator", "invocations")
    assert not await is_drained(flow)
    flow.record_consumed("budget", "verdicts")
    assert await is_drained(flow)


async def test_a_service_that_comes_late_has_everything_before_it() -> None:
    flow = InFlightTracker()
    flow.record_published("invocations", 5)
    await flow.wait_until_idle()
    flow.register("evaluator", ["invocations"])
    assert flow.lag == {"evaluator": 5}


async def test_topics_that_nobody_reads_hold_nothing_up() -> None:
    flow = InFlightTracker()
    flow.record_published("dead-letters")
    await flow.wait_until_idle()


async def test_what_could_not_be_sent_is_not_waited_for() -> None:
    flow = InFlightTracker()
    flow.register("budget", ["verdicts"])
    flow.record_published("verdicts", 3)
    flow.record_published("verdicts", -3)
    await flow.wait_until_idle()


async def test_work_outside_a_handler_holds_it_back() -> None:
    flow = InFlightTracker()
    with flow.hold_open("router"):
        assert not await is_drained(flow)
        assert flow.lag == {"router": 1}
    await flow.wait_until_idle()


async def test_a_failure_is_raised_instead_of_waiting_for_ever() -> None:
    flow = InFlightTracker()
    flow.register("budget", ["verdicts"])
    flow.record_published("verdicts")
    waiting = asyncio.create_task(flow.wait_until_idle())
    await asyncio.sleep(0)
    flow.record_failure("budget", ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await waiting
    with pytest.raises(ValueError, match="a bug"):
        await flow.wait_until_idle()


async def test_a_stopped_service_is_not_waited_for() -> None:
    flow = InFlightTracker()
    flow.register("budget", ["verdicts"])
    flow.record_published("verdicts")
    flow.unregister("budget")
    flow.record_consumed("budget", "verdicts")
    await flow.wait_until_idle()


SERVICES = {"evaluator": ["invocations"], "budget": ["invocations", "verdicts"], "router": ["promotions"]}


@given(
    st.lists(st.sampled_from(["invocations", "verdicts", "promotions"]), max_size=8), st.randoms(use_true_random=False)
)
def test_drained_returns_when_all_queues_are_empty_and_not_before(causes: list[str], chance: random.Random) -> None:
    asyncio.run(_play(causes, chance))


async def _play(causes: list[str], chance: random.Random) -> None:
    flow = InFlightTracker()
    queues: dict[tuple[str, str], deque[int]] = {}
    for service, topics in SERVICES.items():
        flow.register(service, topics)
        queues.update({(service, topic): deque() for topic in topics})

    def publish(topic: str, generation: int) -> None:
        flow.record_published(topic)
        for key in queues:
            if key[1] == topic:
                queues[key].append(generation)

    for topic in causes:
        publish(topic, 2)
    waiting = asyncio.create_task(flow.wait_until_idle())
    while True:
        await asyncio.sleep(0)
        full = [key for key in queues if queues[key]]
        assert not (waiting.done() and full)
        if not full:
            break
        key = chance.choice(full)
        generation = queues[key].popleft()
        if generation:
            publish(chance.choice(["verdicts", "promotions"]), generation - 1)
        flow.record_consumed(*key)
    await asyncio.wait_for(waiting, 1)
