"""Several replicas, many clients each, one real Redis: budgets add up to the billionth of a dollar, and hold."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.redis_server import RedisServer
from tests.support.spending_replica import PURSES, ReplicaProcess, SpendingPlan, SpendingReplica

from understudies.runtime.online.base import BudgetCounter, BudgetHold, CounterState, OnlineState, OnlineUnavailable
from understudies.runtime.online.factory import create_online_state

SECONDS = 120
TASK_LIMIT, TENANT_LIMIT = 300_000, 500_000
LIMITS = dict(zip(PURSES, (TASK_LIMIT, TASK_LIMIT, TENANT_LIMIT), strict=True))


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with asyncio.timeout(SECONDS), RedisServer() as server:
        yield server


@pytest.fixture
async def online(server: RedisServer) -> AsyncIterator[OnlineState]:
    state = create_online_state(server.url, timeout_s=30)
    yield state
    await state.close()


@contextlib.asynccontextmanager
async def replicas(plans: Sequence[SpendingPlan]) -> AsyncIterator[list[ReplicaProcess]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ReplicaProcess(plan)) for plan in plans]


async def standings(online: OnlineState) -> dict[str, CounterState]:
    """How the purses stand, asked by one whose own limit lets nothing through."""
    purses = [BudgetCounter(key, 0) for key in PURSES]
    got = await online.reserve("look", BudgetHold("look", 0), purses, lease_s=1, retention_s=86_400)
    return dict(zip(PURSES, got.counters, strict=True))


async def outcome(running: Sequence[ReplicaProcess]) -> tuple[Counter[str], Counter[str]]:
    """What all spent, and what became of their calls."""
    spent, counts = Counter[str](), Counter[str]()
    for more_spent, more_counts in await asyncio.gather(*(replica.done() for replica in running)):
        spent += more_spent
        counts += more_counts
    return spent, counts


async def test_a_limit_holds_at_every_moment(server: RedisServer, online: OnlineState) -> None:
    plans = [SpendingPlan(server.url, n, per_task=TASK_LIMIT, per_tenant=TENANT_LIMIT) for n in range(4)]
    looks = 0

    async def look() -> None:
        nonlocal looks
        while True:
            for key, standing in (await standings(online)).items():
                assert standing.spent + standing.held <= LIMITS[key]
            looks += 1

    async with replicas(plans) as running:
        looking = asyncio.create_task(look())
        spent, counts = await outcome(running)
        assert not looking.done()
        looking.cancel()
    assert looks > 10
    assert counts["refused"] > 0
    assert counts["granted"] + counts["refused"] == 2000
    assert await standings(online) == {key: CounterState(spent[key], 0) for key in PURSES}
    assert spent[PURSES[2]] > TENANT_LIMIT * 0.9


async def test_calls_that_cost_more_than_estimated_and_spending_without_leave_are_counted_in_full(
    server: RedisServer, online: OnlineState
) -> None:
    async with replicas([SpendingPlan(server.url, n, exceeds_estimates=True) for n in range(4)]) as running:
        spent, counts = await outcome(running)
    assert counts["granted"] == 2000
    assert await standings(online) == {key: CounterState(spent[key], 0) for key in PURSES}


async def test_nothing_is_lost_or_counted_twice_when_the_server_is_killed_and_started_again(
    server: RedisServer, online: OnlineState
) -> None:
    async with replicas([SpendingPlan(server.url, n, calls=2000, exceeds_estimates=True) for n in range(3)]) as running:
        await running[0].half()
        server.kill()
        await server.start()
        spent, counts = await outcome(running)
    assert counts["granted"] == 6000
    found = await told(online)
    assert {key: found[key].spent for key in PURSES} == dict(spent)


async def test_nothing_is_lost_or_counted_twice_when_the_server_pauses(
    server: RedisServer, online: OnlineState
) -> None:
    async with replicas([SpendingPlan(server.url, n, calls=2000, exceeds_estimates=True) for n in range(3)]) as running:
        await running[0].half()
        server.pause()
        # As long as it takes until somebody has noticed: one time-out.
        impatient = create_online_state(server.url)
        with pytest.raises(OnlineUnavailable):
            await impatient.get("key")
        await impatient.close()
        server.resume()
        spent, counts = await outcome(running)
    assert counts["granted"] == 6000
    found = await told(online)
    assert {key: found[key].spent for key in PURSES} == dict(spent)


async def test_what_replicas_spent_that_live_on_survives_a_server_that_forgets(
    server: RedisServer, online: OnlineState
) -> None:
    spenders = [SpendingReplica(SpendingPlan(server.url, n, calls=1000, exceeds_estimates=True)) for n in range(3)]
    async with asyncio.TaskGroup() as running:
        for spender in spenders:
            running.create_task(spender.run())
        await spenders[0].half.wait()
        await server.flush()
    spent = sum((spender.spent for spender in spenders), Counter[str]())
    assert await standings(online) == {key: CounterState(spent[key], 0) for key in PURSES}


async def test_what_a_replica_held_that_was_killed_is_lifted(server: RedisServer, online: OnlineState) -> None:
    async with replicas([SpendingPlan(server.url, clients=200, runs_until_killed=True, lease_s=3)]) as (doomed,):
        await doomed.half()
        held = 0
        while not held:
            held = (await standings(online))[PURSES[2]].held
        await doomed.kill()
    while any(standing.held for standing in (await standings(online)).values()):
        pass


async def told(online: OnlineState) -> dict[str, CounterState]:
    """How the purses stand once the server answers again."""
    while True:
        try:
            return await standings(online)
        except OnlineUnavailable:
            await asyncio.sleep(0.01)
