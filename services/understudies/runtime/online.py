"""State that must be fast and may be lost: Redis, or a stand-in for one process."""

from redis.asyncio import Redis

from understudies.runtime.errors import ConfigurationError


def online_state(url: str) -> Redis:
    """A client for `redis://`, `rediss://` or `unix://`, or for this process alone with `fake://`."""
    scheme = url.partition("://")[0]
    if scheme == "fake":
        return _fake()
    if scheme not in ("redis", "rediss", "unix"):
        raise ConfigurationError(
            f"online state cannot be at {scheme!r}: set UNDERSTUDIES_ONLINE_URL to redis://HOST:PORT"
        )
    client: Redis = Redis.from_url(url)
    return client


def _fake() -> Redis:
    try:
        from fakeredis import FakeAsyncRedis
    except ImportError as error:
        raise ConfigurationError(
            "fake:// online state is not installed; install `understudies[embedded]` or set UNDERSTUDIES_ONLINE_URL"
        ) from error
    client: Redis = FakeAsyncRedis()
    return client
