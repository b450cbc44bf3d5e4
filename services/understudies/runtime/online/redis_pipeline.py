"""Connect to Redis, and pipeline the commands of all callers over one connection."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as Disconnected

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import OnlineUnavailable
from understudies.runtime.throttle import Throttle

ConnectionFactory = Callable[[], AbstractConnection]
"""Creates a connection object that is not connected yet."""


def parse_redis_url(url: str) -> tuple[ConnectionFactory, str]:
    """Parse a Redis URL; returns a connection factory, and the address without credentials for log messages.

    Raises ConfigurationError, which does not quote the URL, as it may contain a password.
    """
    try:
        # No socket time-outs: the pipeline's time-out applies to whole batches.
        pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, socket_connect_timeout=None)
    except (ValueError, TypeError):
        raise ConfigurationError(
            "UNDERSTUDIES_ONLINE_URL is invalid: set it to redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]"
        ) from None
    options = pool.connection_kwargs
    tcp_address = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return pool.make_connection, options.get("path", tcp_address)


RedisCommand = tuple[str | bytes | int, ...]
_PendingCommand = tuple[bytes, asyncio.Future[Any]]

_MAX_BATCH: Final = 128
"""Largest number of commands in a batch, which must be answered within one time-out."""
_CONNECTION_ERRORS: Final = (RedisError, OSError, TimeoutError)
_TEMPORARY_ERRORS: Final = (ReadOnlyError, MasterDownError, ClusterDownError, TryAgainError)
_TEMPORARY_CODES: Final = ("NOREPLICAS", "MISCONF")
"""Error codes for which the client has no exception class."""
_PROBE_DELAYS_S: Final = (0.1, 1.0)
"""Delay between probes: the first, and the maximum."""

_log = logging.getLogger(__name__)


class RedisPipeline:
    """Send the commands of all callers over one connection; all commands waiting at a time go in one batch.

    A lost batch opens the circuit: until a background probe succeeds, commands fail at once. Commands must be
    idempotent. `prologue` is sent first on every connection.
    """

    def __init__(
        self, connect: ConnectionFactory, address: str, *, prologue: Sequence[RedisCommand], timeout_s: float
    ) -> None:
        self._connect = connect
        self._address = address
        self._prologue = [_encode_command(command) for command in prologue]
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._pending: deque[_PendingCommand] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._log_throttle = Throttle()

    @property
    def is_unavailable(self) -> bool:
        """True if the circuit is open."""
        return self._reason is not None

    async def execute(self, *command: str | bytes | int) -> Any:
        """Execute a command and return its reply; raises OnlineUnavailable, or ResponseError if Redis refuses it."""
        if self._reason is not None:
            raise OnlineUnavailable(self._describe_outage(self._reason))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append((_encode_command(command), answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._drain_queue())
        return await answer

    async def check(self) -> None:
        """Connect; raises OnlineUnavailable, or RedisError if the server cannot be used."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._ensure_connected()
        except _CONNECTION_ERRORS as error:
            await self._open_circuit(error, [])
            if isinstance(error, AuthenticationError | InvalidResponse | ResponseError):
                raise
            raise OnlineUnavailable(self._describe_outage(self._reason)) from error

    async def close(self) -> None:
        """Stop and disconnect; waiting commands fail."""
        for task in (self._worker, self._probe):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._reason = "it was closed"
        self._fail_pending([])
        await self._disconnect()

    async def _drain_queue(self) -> None:
        try:
            while self._pending:
                batch = [self._pending.popleft() for _ in range(min(len(self._pending), _MAX_BATCH))]
                await self._send_batch(batch)
        finally:
            self._worker = None

    async def _send_batch(self, batch: list[_PendingCommand]) -> None:
        try:
            replies = await self._send_within_timeout([command for command, _ in batch])
        except _CONNECTION_ERRORS as error:
            await self._open_circuit(error, batch)
        except asyncio.CancelledError:
            self._pending.extendleft(reversed(batch))
            raise
        else:
            for (_, answer), reply in zip(batch, replies, strict=True):
                _resolve(answer, reply)

    async def _send_within_timeout(self, commands: Sequence[bytes]) -> list[Any]:
        """Return the replies within the time-out; try once more if this process itself stalled for longer."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send_reconnecting(commands)
        except TimeoutError:
            if clock() - began < 2 * self._timeout_s:
                raise
        await self._disconnect()
        async with asyncio.timeout(self._timeout_s):
            return await self._send_reconnecting(commands)

    async def _send_reconnecting(self, commands: Sequence[bytes]) -> list[Any]:
        """Return the replies to a batch; replace a connection that broke while idle."""
        fresh = self._connection is None
        try:
            return await _send_commands(await self._ensure_connected(), commands)
        except (Disconnected, OSError):
            if fresh:
                raise
        await self._disconnect()
        return await _send_commands(await self._ensure_connected(), commands)

    async def _ensure_connected(self) -> AbstractConnection:
        if self._connection is None:
            self._connection = self._connect()
            await self._connection.connect()  # type: ignore[no-untyped-call]  # it returns nothing
            for reply in await _send_commands(self._connection, self._prologue):
                if isinstance(reply, ResponseError):
                    raise reply
        return self._connection

    async def _open_circuit(self, error: Exception, batch: list[_PendingCommand]) -> None:
        late = f"no answer within {self._timeout_s * 1000:.0f} ms"
        self._reason = late if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        if self._log_throttle():
            _log.warning("%s; retrying in the background", self._describe_outage(self._reason))
        self._fail_pending(batch)
        await self._disconnect()
        if self._probe is None:
            self._probe = asyncio.create_task(self._probe_until_available())

    async def _probe_until_available(self) -> None:
        pause, longest = _PROBE_DELAYS_S
        try:
            while True:
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
                try:
                    async with asyncio.timeout(self._timeout_s):
                        await self._ensure_connected()
                except _CONNECTION_ERRORS:
                    await self._disconnect()
                    continue
                self._reason = None
                _log.info("online state at %s is available again", self._address)
                return
        finally:
            self._probe = None

    def _fail_pending(self, batch: Sequence[_PendingCommand]) -> None:
        waiting, self._pending = [*batch, *self._pending], deque()
        for _, answer in waiting:
            _resolve(answer, OnlineUnavailable(self._describe_outage(self._reason)))

    def _describe_outage(self, reason: str | None) -> str:
        return f"online state at {self._address} is unavailable: {reason}"

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_CONNECTION_ERRORS):
                async with asyncio.timeout(self._timeout_s):
                    await connection.disconnect()


async def _send_commands(connection: AbstractConnection, commands: Sequence[bytes]) -> list[Any]:
    """Send commands together and return their replies; an error is a reply, unless it is temporary.

    A primary that has become a replica answers with temporary errors for as long as the connection lasts: they count
    as a lost connection, as another server may now be behind the same address.
    """
    await connection.send_packed_command(commands, check_health=False)
    return [await _read_reply(connection) for _ in commands]


async def _read_reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        if _is_temporary(refusal):
            raise Disconnected(str(refusal)) from refusal
        return refusal


def _is_temporary(refusal: ResponseError) -> bool:
    # Redis 6 and older wrap the error of a command in a script in an error message of their own.
    return (
        isinstance(refusal, _TEMPORARY_ERRORS)
        or str(refusal).startswith(_TEMPORARY_CODES)
        or "-READONLY" in str(refusal)
    )


def _encode_command(command: RedisCommand) -> bytes:
    """Encode a command for the wire; accept any text, so that no command can break its whole batch."""
    parts = [part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass") for part in command]
    return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]))


def _resolve(answer: asyncio.Future[Any], reply: Any) -> None:
    """Set the reply, unless the caller no longer waits for it."""
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
