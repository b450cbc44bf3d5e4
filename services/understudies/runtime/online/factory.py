"""Create the online state that a URL names."""

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import OnlineState
from understudies.runtime.online.memory import MemoryOnlineState

_REDIS_SCHEMES = ("redis", "rediss", "unix")


def create_online_state(url: str, *, timeout_s: float = 0.25) -> OnlineState:
    """Create the online state at `redis://`, `rediss://` or `unix://`, or in this process's memory for `fake://`.

    It connects at the first request, and waits at most `timeout_s` seconds for a reply. Raises ConfigurationError for
    an invalid URL.
    """
    scheme = url.partition("://")[0]
    if scheme == "fake":
        return MemoryOnlineState()
    if scheme not in _REDIS_SCHEMES:
        raise ConfigurationError(
            f"unknown online state scheme {scheme!r}: set UNDERSTUDIES_ONLINE_URL to redis://HOST:PORT"
        )
    # Imported here: a single process needs no Redis client.
    from understudies.runtime.online.redis_online import RedisOnlineState

    return RedisOnlineState(url, timeout_s=timeout_s)
