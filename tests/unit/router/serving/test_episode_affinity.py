"""The variant that each episode began with, here and across replicas."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.router.routing.episodes import TEACHER_VARIANT
from understudies.router.serving.episode_affinity import EpisodeAffinity
from understudies.runtime.online.base import OnlineUnavailable
from understudies.runtime.online.memory import MemoryOnlineState

STUDENT = "triage@3"
names = st.text(max_size=6)


class ManualTimer:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Shared(MemoryOnlineState):
    """What replicas share; away or slow when told."""

    def __init__(self, watch: ManualTimer) -> None:
        super().__init__(timer=watch)
        self.keys: list[str] = []
        self.gone = False
        self.asleep = False

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        self.keys.append(key)
        if self.asleep:
            await asyncio.Event().wait()
        if self.gone:
            raise OnlineUnavailable("connection refused")
        await asyncio.sleep(0)
        return await super().get_or_put(key, value, ttl_s)


@pytest.fixture
def watch() -> ManualTimer:
    return ManualTimer()


@pytest.fixture
def shared(watch: ManualTimer) -> Shared:
    return Shared(watch)


def replica(
    watch: ManualTimer, shared: Shared | None = None, *, wait_s: float = 5.0, capacity: int = 100
) -> EpisodeAffinity:
    return EpisodeAffinity(shared, ttl_s=60, capacity=capacity, wait_s=wait_s, timer=watch)


async def began(
    pins: EpisodeAffinity, would_be: str, *, episode: str = "ep", task: str = "triage", tenant: str = "acme"
) -> str:
    return await pins.variant(tenant, task, episode, would_be)


async def took(pins: EpisodeAffinity, call: str, *, steps: int = 3) -> bool:
    return await pins.claim_step("acme", "triage", "ep", call, steps)


# In one process


async def test_an_episode_goes_on_with_what_it_began_with(watch: ManualTimer) -> None:
    pins = replica(watch)
    assert await began(pins, TEACHER_VARIANT) == TEACHER_VARIANT
    assert await began(pins, STUDENT) == TEACHER_VARIANT


async def test_tenants_tasks_and_episodes_are_pinned_apart(watch: ManualTimer) -> None:
    pins = replica(watch)
    await began(pins, TEACHER_VARIANT)
    assert await began(pins, STUDENT, tenant="other") == STUDENT
    assert await began(pins, STUDENT, task="other") == STUDENT
    assert await began(pins, STUDENT, episode="other") == STUDENT


@given(st.tuples(names, names, names), st.tuples(names, names, names))
async def test_no_two_episodes_share_a_name(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    pins = EpisodeAffinity()
    await pins.variant(*one, TEACHER_VARIANT)
    assert (await pins.variant(*other, STUDENT) == TEACHER_VARIANT) == (one == other)


async def test_a_pin_holds_from_its_last_call_on(watch: ManualTimer) -> None:
    pins = replica(watch)
    await began(pins, TEACHER_VARIANT)
    for _ in range(5):
        watch.now += 59
        assert await began(pins, STUDENT) == TEACHER_VARIANT
    watch.now += 60
    assert await began(pins, STUDENT) == STUDENT


async def test_the_episodes_used_last_are_kept(watch: ManualTimer) -> None:
    pins = replica(watch, capacity=2)
    for episode in ("a", "b", "a", "c"):
        await began(pins, TEACHER_VARIANT, episode=episode)
    assert len(pins) == 2
    assert await began(pins, STUDENT, episode="a") == TEACHER_VARIANT
    assert await began(pins, STUDENT, episode="b") == STUDENT


async def test_steps_are_counted_up_to_what_was_declared(watch: ManualTimer) -> None:
    pins = replica(watch)
    await began(pins, STUDENT)
    assert [await took(pins, str(number)) for number in range(5)] == [True, True, True, False, False]
    assert pins.count_served("acme", "triage", "ep") == 3
    assert pins.count_served("acme", "triage", "another") == 0


async def test_a_step_of_an_episode_that_was_forgotten_pins_nothing(watch: ManualTimer) -> None:
    pins = replica(watch)
    assert await took(pins, "call")
    assert await began(pins, STUDENT) == STUDENT


# Across replicas


async def test_replicas_agree_on_what_began(watch: ManualTimer, shared: Shared) -> None:
    one, other = replica(watch, shared), replica(watch, shared)
    assert await began(one, TEACHER_VARIANT) == TEACHER_VARIANT
    assert await began(other, STUDENT) == TEACHER_VARIANT


async def test_of_calls_at_the_same_time_all_get_the_same_variant(watch: ManualTimer, shared: Shared) -> None:
    one, other = replica(watch, shared), replica(watch, shared)
    answers = await asyncio.gather(
        began(one, TEACHER_VARIANT), began(one, STUDENT), began(other, STUDENT), began(other, TEACHER_VARIANT)
    )
    assert len(set(answers)) == 1


async def test_what_is_known_here_is_not_asked_for_again(watch: ManualTimer, shared: Shared) -> None:
    pins = replica(watch, shared)
    for _ in range(10):
        await began(pins, TEACHER_VARIANT)
    assert len(shared.keys) == 1


async def test_a_pin_in_use_here_does_not_expire_for_the_others(watch: ManualTimer, shared: Shared) -> None:
    one, other = replica(watch, shared), replica(watch, shared)
    await began(one, TEACHER_VARIANT)
    for _ in range(10):
        watch.now += 29
        await began(one, STUDENT)
    assert await began(other, STUDENT) == TEACHER_VARIANT


async def test_no_name_leaves_the_process(watch: ManualTimer, shared: Shared) -> None:
    pins = replica(watch, shared)
    await began(pins, TEACHER_VARIANT, episode="jane.doe@example.org")
    await took(pins, "call")
    assert len(shared.keys) == 2
    assert not any("jane" in key or "acme" in key or "triage" in key for key in shared.keys)


async def test_replicas_count_steps_together(watch: ManualTimer, shared: Shared) -> None:
    one, other = replica(watch, shared), replica(watch, shared)
    await began(one, STUDENT)
    await began(other, STUDENT)
    assert [await took(one, "a"), await took(other, "b"), await took(one, "c")] == [True] * 3
    assert [await took(other, "d"), await took(one, "e")] == [False, False]
    assert one.count_served("acme", "triage", "ep") == other.count_served("acme", "triage", "ep") == 3


async def test_of_calls_at_the_same_time_no_more_than_declared_get_a_step(watch: ManualTimer, shared: Shared) -> None:
    replicas = [replica(watch, shared), replica(watch, shared)]
    for pins in replicas:
        await began(pins, STUDENT)
    got = await asyncio.gather(*(took(replicas[number % 2], f"call-{number}") for number in range(8)))
    assert sum(got) == 3


# Where the shared pins are away


@pytest.mark.parametrize("trouble", ["gone", "asleep"])
async def test_each_replica_remembers_for_itself(watch: ManualTimer, shared: Shared, trouble: str) -> None:
    setattr(shared, trouble, True)
    pins = replica(watch, shared, wait_s=0.001)
    assert await began(pins, TEACHER_VARIANT) == TEACHER_VARIANT
    assert await began(pins, STUDENT) == TEACHER_VARIANT
    assert [await took(pins, str(number)) for number in range(4)] == [True, True, True, False]
    assert pins.store_failures == 4


async def test_it_says_so_once_and_names_nobody(
    watch: ManualTimer, shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    shared.gone = True
    pins = replica(watch, shared)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            await began(pins, TEACHER_VARIANT, episode=f"jane-{number}")
    assert [record.getMessage() for record in caplog.records] == [
        "episodes are pinned by each replica alone: OnlineUnavailable"
    ]


async def test_a_pin_known_here_outlives_the_shared_ones(watch: ManualTimer, shared: Shared) -> None:
    pins = replica(watch, shared)
    await began(pins, TEACHER_VARIANT)
    shared.gone = True
    watch.now += 40
    assert await began(pins, STUDENT) == TEACHER_VARIANT


async def test_steps_are_not_forgotten_while_their_episode_goes_on(watch: ManualTimer, shared: Shared) -> None:
    one = replica(watch, shared)
    await began(one, STUDENT)
    assert [await took(one, str(number)) for number in range(3)] == [True] * 3
    for _ in range(4):
        watch.now += 40
        await began(one, STUDENT)
    other = replica(watch, shared)
    await began(other, STUDENT)
    assert not await took(other, "another")
