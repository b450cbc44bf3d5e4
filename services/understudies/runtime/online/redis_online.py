"""The online state that all replicas share, in Redis.

One server, or a primary that its clients find by one address, also after another one has taken its place. Every key
expires: with a memory limit, let Redis make room by `maxmemory-policy volatile-lfu`, which takes answers long before it
takes today's budgets.
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
from understudies.runtime.online.lua_scripts import GET_OR_PUT, RESERVE, SCRIPTS, SETTLE, LuaScript
from understudies.runtime.online.redis_pipeline import RedisPipeline, parse_redis_url

_COUNTER_PREFIX = "understudies:{money}:"
"""All counters have one hash slot, for a script touches several."""
_VALUE_PREFIX = "understudies:value:"
_SLOT_PREFIX = "understudies:pin:"
_WRITE_PROBE = ("DEL", "understudies:nothing")
"""Done first on every connection: a server that takes no writes, as a replica, is as good as away."""


class RedisOnlineState:
    """Keeps the promises of `OnlineState` on a Redis server."""

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
                f"Redis at {self._address} lets nobody in so: {error}; correct UNDERSTUDIES_ONLINE_URL"
            ) from None
        except (InvalidResponse, ResponseError) as error:
            raise ConfigurationError(
                f"what is at {self._address} is no Redis that can be used: {error}; correct UNDERSTUDIES_ONLINE_URL"
            ) from None

    async def reserve(
        self, source: str, hold: BudgetHold, counters: Sequence[BudgetCounter], *, lease_s: float, retention_s: float
    ) -> ReserveResult:
        asked: list[str | int] = [source, hold.name, hold.nanos, round(lease_s * 1000), round(retention_s)]
        for purse in counters:
            asked += (-1 if purse.limit is None else purse.limit, purse.total)
        granted, *told = await self._run_script(RESERVE, [_COUNTER_PREFIX + purse.key for purse in counters], asked)
        return ReserveResult(granted == 1, tuple(map(CounterState, told[::2], told[1::2])))

    async def settle(self, source: str, settlements: Sequence[CounterSettlement], *, retention_s: float) -> None:
        asked: list[str | int] = [source, round(retention_s)]
        for settlement in settlements:
            asked += (settlement.counter.total, len(settlement.ended_holds))
            asked += (f"{hold.name}:{hold.nanos}" for hold in settlement.ended_holds)
        await self._run_script(SETTLE, [_COUNTER_PREFIX + settlement.counter.key for settlement in settlements], asked)

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._execute("GET", _VALUE_PREFIX + key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        check_value_size(value)
        await self._execute("SET", _VALUE_PREFIX + key, value, "PX", round(ttl_s * 1000))

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        check_value_size(value.encode("utf-8", "surrogatepass"))
        pinned: bytes = await self._run_script(GET_OR_PUT, [_SLOT_PREFIX + key], [value, round(ttl_s * 1000)])
        return pinned.decode("utf-8", "surrogatepass")

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
            raise OnlineUnavailable(f"Redis at {self._address} refuses: {refusal}") from refusal
