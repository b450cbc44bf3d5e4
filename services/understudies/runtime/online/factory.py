"""Which online state a URL means."""

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import OnlineState
from understudies.runtime.online.memory import MemoryOnlineState

_REDIS_SCHEMES = ("redis", "rediss", "unix")


def create_online_state(url: str, *, timeout_s: float = 0.25) -> OnlineState:
    """The online state at `redis://`, `rediss://` or `unix://`, or of this process alone with `fake://`.

    Nothing connects before it is asked for something, and no answer is waited for longer than `timeout_s` seconds.
    Raises ConfigurationError for a URL that means nothing.
    """
    scheme = url.partition("://")[0]
    if scheme == "fake":
        return MemoryOnlineState()
    if scheme not in _REDIS_SCHEMES:
        raise ConfigurationError(
            f"online state cannot be at {scheme!r}: set UNDERSTUDIES_ONLINE_URL to redis://HOST:PORT"
        )
    # Imported here: one process alone needs no client.
    from understudies.runtime.online.redis_online import RedisOnlineState

    return RedisOnlineState(url, timeout_s=timeout_s)
