"""What every online state promises: money that adds up, values that expire, pins that hold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.containers import shared_redis_container
from tests.support.redis_server import RedisServer, flush

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import (
    MAX_NANOS,
    MAX_VALUE_BYTES,
    BudgetCounter,
    BudgetHold,
    CounterSettlement,
    CounterState,
    OnlineState,
    ReserveResult,
)
from understudies.runtime.online.factory import create_online_state
from understudies.runtime.online.memory import MemoryOnlineState

DAY_S = 86_400.0


@pytest.fixture(params=["memory", "redis", "container"])
async def online(request: pytest.FixtureRequest) -> AsyncIterator[OnlineState]:
    if request.param == "memory":
        yield MemoryOnlineState()
        return
    if request.param == "container":
        state = create_online_state(shared_redis_container(), timeout_s=5.0)
        await flush(shared_redis_container())
        yield state
        await state.close()
        return
    async with RedisServer() as server:
        state = create_online_state(server.url, timeout_s=5.0)
        yield state
        await state.close()


async def reserved(
    online: OnlineState, name: str, nanos: int, *purses: BudgetCounter, source: str = "here", lease_s: float = DAY_S
) -> ReserveResult:
    return await online.reserve(source, BudgetHold(name, nanos), purses, lease_s=lease_s, retention_s=DAY_S)


async def settled(
    online: OnlineState, purses: Sequence[BudgetCounter], *ended: BudgetHold, source: str = "here"
) -> None:
    await online.settle(source, [CounterSettlement(purse, ended) for purse in purses], retention_s=DAY_S)


async def standing(online: OnlineState, key: str) -> CounterState:
    """How a purse stands, asked by one whose own limit lets nothing through."""
    (found,) = (await reserved(online, "look", 0, BudgetCounter(key, 0), source="look")).counters
    return found


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a server does by its own clock."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - time passes, and nobody announces it
            await asyncio.sleep(0)


def gone(online: OnlineState, key: str) -> Callable[[], Awaitable[bool]]:
    async def is_gone() -> bool:
        return await online.get(key) is None

    return is_gone


async def test_it_is_there(online: OnlineState) -> None:
    await online.check()
    assert not online.is_unavailable


async def test_what_is_reserved_is_held_until_it_is_settled(online: OnlineState) -> None:
    got = await reserved(online, "call", 60, BudgetCounter("triage", 100))
    assert got == ReserveResult(True, (CounterState(0, 60),))
    await settled(online, [BudgetCounter("triage", total=45)], BudgetHold("call", 60))
    assert await standing(online, "triage") == CounterState(45, 0)


async def test_a_limit_may_be_reached_and_not_passed(online: OnlineState) -> None:
    purse = BudgetCounter("triage", 100)
    assert (await reserved(online, "a", 60, purse)).granted
    assert await reserved(online, "b", 41, purse) == ReserveResult(False, (CounterState(0, 60),))
    assert (await reserved(online, "c", 40, purse)).granted
    assert not (await reserved(online, "free", 0, purse)).granted


async def test_money_is_set_aside_in_all_purses_or_in_none(online: OnlineState) -> None:
    wide, narrow = BudgetCounter("tenant", 1000), BudgetCounter("task", 50)
    got = await reserved(online, "call", 60, wide, narrow)
    assert got == ReserveResult(False, (CounterState(0, 0), CounterState(0, 0)))
    assert (await reserved(online, "call", 50, wide, narrow)).granted
    assert await standing(online, "tenant") == CounterState(0, 50)


async def test_a_purse_without_a_limit_counts_and_refuses_nothing(online: OnlineState) -> None:
    assert (await reserved(online, "call", 10**12, BudgetCounter("triage"))).granted
    assert await standing(online, "triage") == CounterState(0, 10**12)


async def test_doing_it_twice_is_doing_it_once(online: OnlineState) -> None:
    purses = [BudgetCounter("tenant", 100, 7), BudgetCounter("task", 60, 7)]
    first = await reserved(online, "call", 53, *purses)
    assert await reserved(online, "call", 53, *purses) == first
    assert first.granted
    for _ in range(2):
        await settled(
            online, [BudgetCounter("tenant", total=40), BudgetCounter("task", total=40)], BudgetHold("call", 53)
        )
    assert await standing(online, "tenant") == await standing(online, "task") == CounterState(40, 0)


async def test_totals_of_processes_add_up_and_an_old_one_told_late_changes_nothing(online: OnlineState) -> None:
    await settled(online, [BudgetCounter("triage", total=30)], source="one")
    await settled(online, [BudgetCounter("triage", total=50)], source="other")
    await settled(online, [BudgetCounter("triage", total=20)], source="one")
    await reserved(online, "call", 1, BudgetCounter("triage", 100, total=25), source="one")
    assert await standing(online, "triage") == CounterState(80, 1)


async def test_a_total_that_is_told_with_a_reservation_counts_at_once(online: OnlineState) -> None:
    assert not (await reserved(online, "call", 10, BudgetCounter("triage", 100, total=95))).granted
    assert await standing(online, "triage") == CounterState(95, 0)


async def test_a_hold_that_nobody_ends_is_lifted(online: OnlineState) -> None:
    purse = BudgetCounter("triage", 100)
    assert (await reserved(online, "crashed", 100, purse, lease_s=0.05)).granted

    async def granted() -> bool:
        return (await reserved(online, "next", 60, purse)).granted

    await until(granted)
    assert await standing(online, "triage") == CounterState(0, 60)
    await settled(online, [BudgetCounter("triage", total=100)], BudgetHold("crashed", 100))
    assert await standing(online, "triage") == CounterState(100, 60)


async def test_ending_a_hold_that_is_unknown_frees_nothing(online: OnlineState) -> None:
    await reserved(online, "call", 60, BudgetCounter("triage", 100))
    await settled(online, [BudgetCounter("triage")], BudgetHold("never", 60))
    assert await standing(online, "triage") == CounterState(0, 60)


async def test_a_purse_is_forgotten_with_its_holds(online: OnlineState) -> None:
    await online.reserve(
        "here", BudgetHold("call", 60), [BudgetCounter("today", 100, 40)], lease_s=DAY_S, retention_s=1
    )

    async def forgotten() -> bool:
        return await standing(online, "today") == CounterState(0, 0)

    await until(forgotten)


async def test_large_amounts_are_exact(online: OnlineState) -> None:
    half = MAX_NANOS // 2
    assert (await reserved(online, "call", half, BudgetCounter("triage", MAX_NANOS, half))).granted
    assert not (await reserved(online, "call 2", 2, BudgetCounter("triage", MAX_NANOS, half))).granted
    assert (await reserved(online, "call 3", 1, BudgetCounter("triage", MAX_NANOS, half))).granted
    await settled(online, [BudgetCounter("triage", total=half + 1)], BudgetHold("call", half))
    assert await standing(online, "triage") == CounterState(half + 1, 1)


async def test_many_clients_at_once_never_pass_the_limit(online: OnlineState) -> None:
    answers = await asyncio.gather(
        *(
            reserved(online, str(n), 10, BudgetCounter("tenant", 1000), BudgetCounter(f"task {n % 3}", 400))
            for n in range(300)
        )
    )
    assert sum(answer.granted for answer in answers) == 100
    assert await standing(online, "tenant") == CounterState(0, 1000)


NAMES = st.text(st.characters(), max_size=20)


@given(key=NAMES, name=NAMES, source=NAMES)
async def test_any_name_is_taken_in_memory(key: str, name: str, source: str) -> None:
    await _any_name_is_taken(MemoryOnlineState(), key, name, source)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(key=NAMES, name=NAMES)
async def test_any_name_is_taken(online: OnlineState, key: str, name: str) -> None:
    await _any_name_is_taken(online, key, name, "here")


async def _any_name_is_taken(online: OnlineState, key: str, name: str, source: str) -> None:
    got = await online.reserve(source, BudgetHold(name, 5), [BudgetCounter(key)], lease_s=DAY_S, retention_s=DAY_S)
    held = got.counters[0].held
    assert got.granted
    await online.settle(source, [CounterSettlement(BudgetCounter(key), (BudgetHold(name, 5),))], retention_s=DAY_S)
    assert await standing(online, key) == CounterState(0, held - 5)
    assert await online.get_or_put(key + name, name, 60) == name
    await online.put(key, name.encode("utf-8", "surrogatepass"), 60)
    assert await online.get(key) == name.encode("utf-8", "surrogatepass")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "tell"]),
        st.sampled_from(["one", "other"]),
        st.integers(0, 60),
        st.sets(st.sampled_from(["tenant", "task"]), min_size=1),
    ),
    max_size=40,
)
LIMITS = {"tenant": 200, "task": 120}


class Model:
    """What should be: each purse as a sum, and as a set of holds."""

    def __init__(self) -> None:
        self.spent: dict[tuple[str, str], int] = {}
        self.holds: dict[str, tuple[str, frozenset[str], int]] = {}

    def standing(self, key: str) -> CounterState:
        spent = sum(amount for (_, purse), amount in self.spent.items() if purse == key)
        return CounterState(spent, sum(nanos for _, keys, nanos in self.holds.values() if key in keys))

    def purse(self, source: str, key: str) -> BudgetCounter:
        return BudgetCounter(key, LIMITS[key], self.spent.get((source, key), 0))

    def fits(self, keys: frozenset[str], nanos: int) -> bool:
        used = {key: self.standing(key).spent + self.standing(key).held for key in keys}
        return all(used[key] < LIMITS[key] and used[key] + nanos <= LIMITS[key] for key in keys)


async def _as_the_model_says(online: OnlineState, steps: Sequence[Any]) -> None:
    model = Model()
    for number, (step, source, nanos, purses) in enumerate(steps):
        keys = frozenset(purses)
        if step == "reserve":
            wanted = model.fits(keys, nanos)
            got = await reserved(
                online, str(number), nanos, *(model.purse(source, k) for k in sorted(keys)), source=source
            )
            assert got.granted == wanted
            if wanted:
                model.holds[str(number)] = (source, keys, nanos)
        elif step == "settle" and model.holds:
            name = sorted(model.holds)[nanos % len(model.holds)]
            owner, held_in, held = model.holds.pop(name)
            for key in held_in:
                model.spent[owner, key] = model.spent.get((owner, key), 0) + nanos
            ending = BudgetHold(name, held)
            await settled(online, [model.purse(owner, key) for key in sorted(held_in)], ending, source=owner)
        elif step == "tell":
            for key in keys:
                model.spent[source, key] = model.spent.get((source, key), 0) + nanos
            await settled(online, [model.purse(source, key) for key in sorted(keys)], source=source)
        for key in LIMITS:
            assert await standing(online, key) == model.standing(key)


@given(STEPS)
async def test_any_history_adds_up_in_memory(steps: list[Any]) -> None:
    await _as_the_model_says(MemoryOnlineState(), steps)


async def test_any_history_adds_up_in_redis() -> None:
    async with RedisServer() as server:
        online = create_online_state(server.url, timeout_s=5.0)
        loop = asyncio.get_running_loop()

        @settings(max_examples=40, deadline=None)
        @given(STEPS)
        def check(steps: list[Any]) -> None:
            async def history() -> None:
                await server.flush()
                await _as_the_model_says(online, steps)

            asyncio.run_coroutine_threadsafe(history(), loop).result(60)

        await asyncio.to_thread(check)
        await online.close()


async def test_a_value_is_kept_until_it_expires(online: OnlineState) -> None:
    assert await online.get("answer") is None
    await online.put("answer", b"\x00\xff\r\n$", 60)
    assert await online.get("answer") == b"\x00\xff\r\n$"
    await online.put("answer", b"", 0.05)
    await until(gone(online, "answer"))


async def test_a_value_that_is_too_large_is_refused(online: OnlineState) -> None:
    await online.put("largest", bytes(MAX_VALUE_BYTES), 60)
    with pytest.raises(ValueError, match="too large"):
        await online.put("larger", bytes(MAX_VALUE_BYTES + 1), 60)
    with pytest.raises(ValueError, match="too large"):
        await online.get_or_put("larger", "x" * (MAX_VALUE_BYTES + 1), 60)
    assert await online.get("largest") == bytes(MAX_VALUE_BYTES)


async def test_the_first_value_that_is_pinned_is_in_force(online: OnlineState) -> None:
    assert await online.get_or_put("episode", "teacher", 60) == "teacher"
    assert await online.get_or_put("episode", "triage@3", 60) == "teacher"
    assert await online.get_or_put("another", "triage@3", 60) == "triage@3"


async def test_of_many_that_pin_at_once_one_wins(online: OnlineState) -> None:
    found = await asyncio.gather(*(online.get_or_put("episode", str(n), 60) for n in range(50)))
    assert len(set(found)) == 1


async def test_a_pin_ends_some_time_after_its_last_use(online: OnlineState) -> None:
    await online.get_or_put("episode", "first", 60)
    assert await online.get_or_put("episode", "second", 0.05) == "first"
    await online.put("outlives it", b"", 0.05)
    await until(gone(online, "outlives it"))
    assert await online.get_or_put("episode", "third", 60) == "third"


async def test_of_many_that_want_a_lease_at_once_one_gets_it(online: OnlineState) -> None:
    found = await asyncio.gather(*(online.acquire_lease("training", str(n), 60) for n in range(50)))
    assert len(set(found)) == 1
    assert await online.acquire_lease("another", "other", 60) == "other"


async def test_a_lease_ends_some_time_after_its_holder_last_asked_however_often_others_do(online: OnlineState) -> None:
    assert await online.acquire_lease("training", "one", 60) == "one"
    assert await online.acquire_lease("training", "one", 0.2) == "one"

    async def is_taken_over() -> bool:
        return await online.acquire_lease("training", "other", 60) == "other"

    assert not await is_taken_over()
    await until(is_taken_over)
    assert await online.acquire_lease("training", "one", 60) == "other"


async def test_pins_values_and_purses_do_not_meet(online: OnlineState) -> None:
    await online.get_or_put("same", "pinned", 60)
    await online.put("same", b"value", 60)
    await reserved(online, "call", 5, BudgetCounter("same", 10))
    assert await online.get("same") == b"value"
    assert await online.get_or_put("same", "other", 60) == "pinned"
    assert await online.acquire_lease("same", "other", 60) == "other"
    assert await standing(online, "same") == CounterState(0, 5)


async def test_memory_has_a_bound_and_what_was_used_longest_ago_makes_room() -> None:
    online = MemoryOnlineState(max_bytes=100)
    await online.put("a", bytes(40), 60)
    await online.put("b", bytes(40), 60)
    assert await online.get("a") is not None
    await online.put("c", bytes(40), 60)
    assert [await online.get(key) is not None for key in "abc"] == [True, False, True]


async def test_memory_is_freed_of_what_has_expired() -> None:
    now = 0.0
    online = MemoryOnlineState(timer=lambda: now)
    for n in range(1000):
        await online.put(f"value {n}", bytes(1000), 10)
        await online.get_or_put(f"episode {n}", "teacher", 10)
        await online.acquire_lease(f"lease {n}", "one", 10)
        await online.reserve("here", BudgetHold("call", 5), [BudgetCounter(f"day {n}")], lease_s=10, retention_s=10)
    now = 1000.0
    await online.put("one more", b"", 10)
    assert online.entry_count == 1


async def test_two_memories_share_nothing() -> None:
    one, other = create_online_state("fake://"), create_online_state("fake://")
    await one.put("key", b"value", 60)
    assert await other.get("key") is None


@pytest.mark.parametrize("url", ["memcached://somewhere", "somewhere:6379", ""])
def test_another_scheme_is_refused_with_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_ONLINE_URL"):
        create_online_state(url)


@pytest.mark.parametrize("url", ["redis://:hunter2@host:port", "redis://:hunter2@host:6379/?db=first"])
def test_a_url_that_cannot_be_read_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_ONLINE_URL") as refused:
        create_online_state(url)
    assert "hunter2" not in str(refused.value)


async def test_values_are_cleared_and_money_and_pins_are_kept(online: OnlineState) -> None:
    for number in range(2500):
        await online.put(f"answer {number}", b"text", 1000.0)
    await online.get_or_put("episode", "teacher", 1000.0)
    await settled(online, [BudgetCounter("triage", total=45)])
    await online.clear_values()
    await online.clear_values()
    assert [number for number in range(2500) if await online.get(f"answer {number}") is not None] == []
    assert await online.get_or_put("episode", "student", 1000.0) == "teacher"
    assert await standing(online, "triage") == CounterState(45, 0)
