"""Answers that are given again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.unreliable_online import UnreliableOnlineState

from understudies.router.serving.cache_policy import cache_key
from understudies.router.serving.response_cache import CacheEntry, CacheStore
from understudies.runtime.online.base import MAX_VALUE_BYTES
from understudies.runtime.online.memory import MemoryOnlineState

ANSWER = CacheEntry(b'{"choices": []}', "gpt-4o", "openai")


@pytest.fixture
def online() -> UnreliableOnlineState:
    return UnreliableOnlineState()


async def test_an_answer_that_was_put_is_given_again_whole(online: UnreliableOnlineState) -> None:
    cache = CacheStore(online)
    assert await cache.get("key") is None
    assert cache.put("key", ANSWER, 60)
    await cache.wait_idle()
    assert await cache.get("key") == ANSWER
    assert (cache.hits, cache.misses) == (1, 1)


async def test_another_replica_has_it_too(online: UnreliableOnlineState) -> None:
    one, other = CacheStore(online), CacheStore(online)
    one.put("key", ANSWER, 60)
    await one.wait_idle()
    assert await other.get("key") == ANSWER


async def test_no_tenant_sees_the_answer_of_another(online: UnreliableOnlineState) -> None:
    cache = CacheStore(online)
    body = {"model": "gpt", "messages": [], "temperature": 0}
    keys = [cache_key(tenant=name, task="t", api="chat", model="gpt", body=body) for name in ("acme", "other")]
    cache.put(keys[0], ANSWER, 60)
    await cache.wait_idle()
    assert [await cache.get(key) for key in keys] == [ANSWER, None]


async def test_an_answer_expires() -> None:
    now = 0.0
    cache = CacheStore(MemoryOnlineState(timer=lambda: now))
    cache.put("key", ANSWER, 60)
    await cache.wait_idle()
    now = 59.9
    assert await cache.get("key") == ANSWER
    now = 60.0
    assert await cache.get("key") is None


async def test_an_answer_that_is_too_large_is_not_kept(online: UnreliableOnlineState) -> None:
    cache = CacheStore(online, max_bytes=1000)
    assert not cache.put("key", CacheEntry(bytes(1000)), 60)
    assert not CacheStore(online, max_bytes=10**9).put("key", CacheEntry(bytes(MAX_VALUE_BYTES)), 60)
    await cache.wait_idle()
    assert await cache.get("key") is None
    assert cache.rejected == 1


async def test_more_answers_than_can_be_kept_at_once_do_not_pile_up(online: UnreliableOnlineState) -> None:
    cache = CacheStore(online)
    assert [cache.put(str(n), ANSWER, 60) for n in range(300)].count(False) == 300 - 256
    await cache.wait_idle()
    assert cache.put("later", ANSWER, 60)
    await cache.wait_idle()


async def test_while_the_online_state_is_away_there_is_nothing(online: UnreliableOnlineState) -> None:
    cache = CacheStore(online)
    cache.put("key", ANSWER, 60)
    await cache.wait_idle()
    online.disconnected = True
    assert await cache.get("key") is None
    cache.put("other", ANSWER, 60)
    await cache.wait_idle()
    online.disconnected = False
    assert await cache.get("other") is None
    assert await cache.get("key") == ANSWER
    assert cache.unavailable == 2


@pytest.mark.parametrize(
    "kept", [b"", b"\n", b"junk", b"{}\nbody", b'[2, "m", "t"]\nbody', b'[1, "m"]\nbody', b"\xff\n"]
)
async def test_what_another_version_has_kept_is_no_answer(online: UnreliableOnlineState, kept: bytes) -> None:
    await online.put("key", kept, 60)
    assert await CacheStore(online).get("key") is None


@given(st.binary(), st.text(), st.text())
def test_an_answer_comes_back_as_it_was(body: bytes, model: str, teacher: str) -> None:
    assert CacheEntry.decode(CacheEntry(body, model, teacher).encode()) == CacheEntry(body, model, teacher)
