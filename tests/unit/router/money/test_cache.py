"""Answers that are given again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.online import Fickle

from understudies.router.money import Cache, Cached, cache_key
from understudies.runtime.online import MAX_VALUE_BYTES, MemoryOnline

ANSWER = Cached(b'{"choices": []}', "gpt-4o", "openai")


@pytest.fixture
def online() -> Fickle:
    return Fickle()


async def test_an_answer_that_was_put_is_given_again_whole(online: Fickle) -> None:
    cache = Cache(online)
    assert await cache.get("key") is None
    assert cache.put("key", ANSWER, 60)
    await cache.idle()
    assert await cache.get("key") == ANSWER
    assert (cache.hits, cache.misses) == (1, 1)


async def test_another_replica_has_it_too(online: Fickle) -> None:
    one, other = Cache(online), Cache(online)
    one.put("key", ANSWER, 60)
    await one.idle()
    assert await other.get("key") == ANSWER


async def test_no_tenant_sees_the_answer_of_another(online: Fickle) -> None:
    cache = Cache(online)
    body = {"model": "gpt", "messages": [], "temperature": 0}
    keys = [cache_key(tenant=name, task="t", api="chat", model="gpt", body=body) for name in ("acme", "other")]
    cache.put(keys[0], ANSWER, 60)
    await cache.idle()
    assert [await cache.get(key) for key in keys] == [ANSWER, None]


async def test_an_answer_expires() -> None:
    now = 0.0
    cache = Cache(MemoryOnline(timer=lambda: now))
    cache.put("key", ANSWER, 60)
    await cache.idle()
    now = 59.9
    assert await cache.get("key") == ANSWER
    now = 60.0
    assert await cache.get("key") is None


async def test_an_answer_that_is_too_large_is_not_kept(online: Fickle) -> None:
    cache = Cache(online, max_bytes=1000)
    assert not cache.put("key", Cached(bytes(1000)), 60)
    assert not Cache(online, max_bytes=10**9).put("key", Cached(bytes(MAX_VALUE_BYTES)), 60)
    await cache.idle()
    assert await cache.get("key") is None
    assert cache.not_kept == 1


async def test_more_answers_than_can_be_kept_at_once_do_not_pile_up(online: Fickle) -> None:
    cache = Cache(online)
    assert [cache.put(str(n), ANSWER, 60) for n in range(300)].count(False) == 300 - 256
    await cache.idle()
    assert cache.put("later", ANSWER, 60)
    await cache.idle()


async def test_while_the_online_state_is_away_there_is_nothing(online: Fickle) -> None:
    cache = Cache(online)
    cache.put("key", ANSWER, 60)
    await cache.idle()
    online.cut = True
    assert await cache.get("key") is None
    cache.put("other", ANSWER, 60)
    await cache.idle()
    online.cut = False
    assert await cache.get("other") is None
    assert await cache.get("key") == ANSWER
    assert cache.away == 2


@pytest.mark.parametrize(
    "kept", [b"", b"\n", b"junk", b"{}\nbody", b'[2, "m", "t"]\nbody', b'[1, "m"]\nbody', b"\xff\n"]
)
async def test_what_another_version_has_kept_is_no_answer(online: Fickle, kept: bytes) -> None:
    await online.put("key", kept, 60)
    assert await Cache(online).get("key") is None


@given(st.binary(), st.text(), st.text())
def test_an_answer_comes_back_as_it_was(body: bytes, model: str, teacher: str) -> None:
    assert Cached.decode(Cached(body, model, teacher).encode()) == Cached(body, model, teacher)
