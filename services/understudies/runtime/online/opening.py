"""Which online state a URL means."""

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import Online
from understudies.runtime.online.memory import MemoryOnline

_SCHEMES = ("redis", "rediss", "unix")


def online_state(url: str, *, timeout_s: float = 0.25) -> Online:
    """The online state at `redis://`, `rediss://` or `unix://`, or of this process alone with `fake://`.

    Nothing connects before it is asked for something, and no answer is waited for longer than `timeout_s` seconds.
    Raises ConfigurationError for a URL that means nothing.
    """
    scheme = url.partition("://")[0]
    if scheme == "fake":
        return MemoryOnline()
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            f"online state cannot be at {scheme!r}: set UNDERSTUDIES_ONLINE_URL to redis://HOST:PORT"
        )
    # Imported here: one process alone needs no client.
    from understudies.runtime.online.redis_online import RedisOnline

    return RedisOnline(url, timeout_s=timeout_s)
