"""Whatever replicas do, and whatever gets lost on the way: budgets add up, and hold."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.unreliable_online import UnreliableOnlineState

from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import Budget, BudgetLimits
from understudies.router.budgets.reservation import Reservation
from understudies.runtime.online.base import BudgetCounter, BudgetHold, CounterState

EVENING = datetime(2026, 5, 9, 23, tzinfo=UTC)
NANO = Decimal("1e-9")
LIMITS = {"task:triage": 100, "task:refunds": 60, "tenant:acme": 150}
TASKS = ("triage", "refunds", "chat")
TENANTS = ("acme", "other")


def limits() -> BudgetLimits:
    budget = {name: Budget(nanos * NANO) for name, nanos in LIMITS.items()}
    return BudgetLimits(
        tasks={"triage": budget["task:triage"], "refunds": budget["task:refunds"]},
        tenants={"acme": budget["tenant:acme"]},
        on_unknown_usage="allow",
    )


def purses(tenant: str, task: str, now: datetime) -> list[str]:
    return [f"{now:%Y-%m-%d}:{name}" for name in (f"task:{task}", f"tenant:{tenant}") if name in LIMITS]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("reserve"),
            st.integers(0, 2),
            st.sampled_from(TENANTS),
            st.sampled_from(TASKS),
            st.integers(0, 50),
            st.integers(0, 119),
        ),
        st.tuples(st.just("settle"), st.integers(0, 100), st.integers(0, 50)),
        st.tuples(st.just("settle twice"), st.integers(0, 100), st.integers(0, 50)),
        st.tuples(
            st.just("charge"),
            st.integers(0, 2),
            st.sampled_from(TENANTS),
            st.sampled_from(TASKS),
            st.integers(0, 30),
            st.integers(0, 119),
        ),
        st.tuples(st.sampled_from(["cut", "mend", "told", "forget"])),
        st.tuples(st.just("lose answers"), st.integers(1, 3)),
    ),
    max_size=60,
)


class World:
    """Three replicas, one online state, and what should be in it."""

    def __init__(self) -> None:
        self.online = UnreliableOnlineState()
        self.replicas = [BudgetLimiter(self.online, limits(), pause_s=0) for _ in range(3)]
        self.open: list[tuple[BudgetLimiter, Reservation, list[str], int]] = []
        self.spent: defaultdict[str, int] = defaultdict(int)
        self.clean = True
        """Whether nothing was ever cut or lost: then every grant is one that the online state gave."""

    async def reserve(self, replica: int, tenant: str, task: str, nanos: int, minute: int) -> None:
        now = EVENING + timedelta(minutes=minute)
        budgets = self.replicas[replica]
        keys = purses(tenant, task, now)
        got = await budgets.reserve(tenant, task, nanos * NANO, now)
        if isinstance(got, Reservation):
            self.open.append((budgets, got, keys, nanos))
            for key in keys if self.clean else []:
                used = await self.standing(key)
                assert used.spent + used.held <= LIMITS[key.partition(":")[2]]
        else:
            assert keys

    async def settle(self, which: int, nanos: int, times: int = 1) -> None:
        if not self.open:
            return
        budgets, grant, keys, _ = self.open.pop(which % len(self.open))
        for _ in range(times):
            budgets.settle(grant, nanos * NANO)
        for key in keys:
            self.spent[key] += nanos

    async def charge(self, replica: int, tenant: str, task: str, nanos: int, minute: int) -> None:
        now = EVENING + timedelta(minutes=minute)
        self.replicas[replica].charge(tenant, task, nanos * NANO, now)
        for key in purses(tenant, task, now):
            self.spent[key] += nanos

    async def told(self) -> None:
        if not self.online.disconnected:
            for budgets in self.replicas:
                await budgets.flush()

    async def standing(self, key: str) -> CounterState:
        cut, self.online.disconnected, lost, self.online.lost_replies = (
            self.online.disconnected,
            False,
            self.online.lost_replies,
            0,
        )
        got = await self.online.reserve(
            "look", BudgetHold("look", 0), [BudgetCounter(key, 0)], lease_s=1, retention_s=10**6
        )
        self.online.disconnected, self.online.lost_replies = cut, lost
        return got.counters[0]

    async def step(self, name: str, *given: Any) -> None:
        await self._do(name, *given)
        for _ in range(3):
            await asyncio.sleep(0)  # what goes on in the background gets its turn

    async def _do(self, name: str, *given: Any) -> None:
        match name:
            case "reserve":
                await self.reserve(*given)
            case "settle":
                await self.settle(*given)
            case "settle twice":
                await self.settle(given[0], given[1], times=2)
            case "charge":
                await self.charge(*given)
            case "told":
                await self.told()
            case "cut":
                self.online.disconnected, self.clean = True, False
            case "mend":
                self.online.disconnected = False
            case "lose answers":
                self.online.lost_replies, self.clean = given[0], False
            case "forget":
                self.online.lose_everything()
                self.clean = False


@given(STEPS)
async def test_what_is_spent_is_counted_once_and_what_is_held_is_open(steps: list[Any]) -> None:
    world = World()
    for step in steps:
        await world.step(*step)
    forgot = any(step[0] == "forget" for step in steps)
    world.online.disconnected, world.online.lost_replies = False, 0
    await world.told()
    if forgot:
        # Whoever has spent something tells it again with the next that is asked.
        for replica in range(3):
            for tenant in TENANTS:
                for task in TASKS:
                    for minute in (0, 119):
                        await world.replicas[replica].reserve(
                            tenant, task, Decimal(1), EVENING + timedelta(minutes=minute)
                        )
        await world.told()
    for day in (EVENING, EVENING + timedelta(hours=2)):
        for name in LIMITS:
            key = f"{day:%Y-%m-%d}:{name}"
            standing = await world.standing(key)
            held = sum(nanos for _, grant, keys, nanos in world.open if key in keys and grant.has_hold)
            assert standing.spent == world.spent[key]
            assert standing.held == held or forgot
    for budgets, grant, _, _ in world.open:
        budgets.settle(grant, Decimal(0))
    await world.told()
    assert all(budgets.in_flight == budgets.unreported == 0 for budgets in world.replicas)
    for day in (EVENING, EVENING + timedelta(hours=2)):
        for name in LIMITS:
            assert (await world.standing(f"{day:%Y-%m-%d}:{name}")).held == 0


@given(STEPS)
async def test_what_is_settled_and_held_exceeds_a_limit_by_no_more_than_calls_cost_beyond_their_estimates(
    steps: list[Any],
) -> None:
    world = World()
    beyond: defaultdict[str, int] = defaultdict(int)
    for name, *given_ in steps:
        if name in ("settle", "settle twice") and world.open:
            _, _, keys, estimate = world.open[given_[0] % len(world.open)]
            for key in keys:
                beyond[key] += max(0, given_[1] - estimate)
        if name == "charge":
            _, tenant, task, nanos, minute = given_
            for key in purses(tenant, task, EVENING + timedelta(minutes=minute)):
                beyond[key] += nanos
        if name in ("reserve", "settle", "settle twice", "charge", "told"):
            await world.step(name, *given_)
    await world.told()
    for day in (EVENING, EVENING + timedelta(hours=2)):
        for name, limit in LIMITS.items():
            key = f"{day:%Y-%m-%d}:{name}"
            standing = await world.standing(key)
            assert standing.spent + standing.held <= limit + beyond[key]
