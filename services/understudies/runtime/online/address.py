"""Where Redis is, and how to connect to it."""

from collections.abc import Callable

from redis.asyncio.connection import AbstractConnection, ConnectionPool

from understudies.runtime.errors import ConfigurationError

ConnectionFactory = Callable[[], AbstractConnection]
"""Makes a connection that is not connected yet."""


def parse_redis_url(url: str) -> tuple[ConnectionFactory, str]:
    """How to make connections to a URL, and its name without user and password for what is logged.

    Raises ConfigurationError, which does not quote the URL, for it may hold a password.
    """
    try:
        # No time-outs of its own: those of the courier hold for whole batches.
        pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, socket_connect_timeout=None)
    except (ValueError, TypeError):
        raise ConfigurationError(
            "UNDERSTUDIES_ONLINE_URL cannot be read: set it to redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]"
        ) from None
    told = pool.connection_kwargs
    place = told["path"] if "path" in told else f"{told.get('host', 'localhost')}:{told.get('port', 6379)}"
    return pool.make_connection, place
