"""Online state: one interface, two places."""

import pytest
from redis.asyncio import Redis

from understudies.runtime import ConfigurationError, online_state


async def test_the_stand_in_keeps_what_it_is_given() -> None:
    state = online_state("fake://")
    await state.set("budget:triage", "12.5", ex=60)
    assert await state.get("budget:triage") == b"12.5"
    await state.aclose()


async def test_two_stand_ins_share_nothing() -> None:
    one, other = online_state("fake://"), online_state("fake://")
    await one.set("key", "value")
    assert await other.get("key") is None
    await one.aclose()
    await other.aclose()


async def test_a_redis_url_gives_a_client_that_is_not_connected_yet() -> None:
    client = online_state("redis://user:secret@redis.example:6380/2")
    assert isinstance(client, Redis)
    assert client.connection_pool.connection_kwargs["host"] == "redis.example"
    await client.aclose()


def test_another_scheme_is_refused_with_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_ONLINE_URL"):
        online_state("memcached://somewhere")
