"""Keep the online state that all replicas share in Redis.

Redis is one server, or a primary that clients reach at one address, also after a failover. Every key expires: with a
memory limit, let Redis evict by `maxmemory-policy volatile-lfu`, which removes cached responses long before it removes
today's budgets.
"""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import AuthenticationError, InvalidResponse, NoScriptError, ResponseError

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.base import (
    BudgetCounter,
    BudgetHold,
    CounterSettlement,
    CounterState,
    OnlineUnavailable,
    ReserveResult,
    check_value_size,
)
from understudies.runtime.online.lua_scripts import ACQUIRE_LEASE, GET_OR_PUT, RESERVE, SCRIPTS, SETTLE, LuaScript
from understudies.runtime.online.redis_pipeline import RedisPipeline, parse_redis_url

_COUNTER_PREFIX = "understudies:{money}:"
"""Prefix that puts all counters in one hash slot, as one script accesses several."""
_VALUE_PREFIX = "understudies:value:"
_SLOT_PREFIX = "understudies:pin:"
_LEASE_PREFIX = "understudies:lease:"
_SCAN_COUNT = 1000
_WRITE_PROBE = ("DEL", "understudies:nothing")
"""First command on every connection: a server that accepts no writes, such as a replica, counts as unavailable."""


class RedisOnlineState:
    """Implement `OnlineState` on a Redis server."""

    def __init__(self, url: str, *, timeout_s: float = 0.25) -> None:
        connect, self._address = parse_redis_url(url)
        loads = [("SCRIPT", "LOAD", script.text) for script in SCRIPTS]
        self._pipeline = RedisPipeline(connect, self._address, prologue=[*loads, _WRITE_PROBE], timeout_s=timeout_s)

    @property
    def is_unavailable(self) -> bool:
        return self._pipeline.is_unavailable

    async def check(self) -> None:
        try:
            await self._pipeline.check()
        except AuthenticationError as error:
            raise ConfigurationError(
                f"Redis at {self._address} rejects the credentials: {error}; correct UNDERSTUDIES_ONLINE_URL"
            ) from None
        except (InvalidResponse, ResponseError) as error:
            raise ConfigurationError(
                f"the server at {self._address} is not a usable Redis: {error}; correct UNDERSTUDIES_ONLINE_URL"
            ) from None

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        arguments: list[str | int] = [source, hold.name, hold.nanos, round(lease_s * 1000), round(retention_s)]
        for counter in counters:
            arguments += (-1 if counter.limit is None else counter.limit, counter.total)
        keys = [_COUNTER_PREFIX + counter.key for counter in counters]
        granted, *states = await self._run_script(RESERVE, keys, arguments)
        return ReserveResult(granted == 1, tuple(map(CounterState, states[::2], states[1::2])))

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        arguments: list[str | int] = [source, round(retention_s)]
        for settlement in settlements:
            arguments += (settlement.counter.total, len(settlement.ended_holds))
            arguments += (f"{hold.name}:{hold.nanos}" for hold in settlement.ended_holds)
        keys = [_COUNTER_PREFIX + settlement.counter.key for settlement in settlements]
        await self._run_script(SETTLE, keys, arguments)

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._execute("GET", _VALUE_PREFIX + key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        check_value_size(value)
        await self._execute("SET", _VALUE_PREFIX + key, value, "PX", round(ttl_s * 1000))

    async def clear_values(self) -> None:
        cursor = b"0"
        while True:
            cursor, keys = await self._execute("SCAN", cursor, "MATCH", f"{_VALUE_PREFIX}*", "COUNT", _SCAN_COUNT)
            if keys:
                await self._execute("UNLINK", *keys)
            if cursor == b"0":
                return

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        check_value_size(value.encode("utf-8", "surrogatepass"))
        pinned: bytes = await self._run_script(GET_OR_PUT, [_SLOT_PREFIX + key], [value, round(ttl_s * 1000)])
        return pinned.decode("utf-8", "surrogatepass")

    async def acquire_lease(self, key: str, holder: str, ttl_s: float) -> str:
        found: bytes = await self._run_script(ACQUIRE_LEASE, [_LEASE_PREFIX + key], [holder, round(ttl_s * 1000)])
        return found.decode("utf-8", "surrogatepass")

    async def close(self) -> None:
        await self._pipeline.close()

    async def _run_script(self, script: LuaScript, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        command = ("EVALSHA", script.sha, len(keys), *keys, *arguments)
        try:
            return await self._execute(*command)
        except NoScriptError:
            await self._execute("SCRIPT", "LOAD", script.text)
            return await self._execute(*command)

    async def _execute(self, *command: str | bytes | int) -> Any:
        try:
            return await self._pipeline.execute(*command)
        except NoScriptError:
            raise
        except ResponseError as refusal:
            raise OnlineUnavailable(f"Redis at {self._address} refused a command: {refusal}") from refusal
