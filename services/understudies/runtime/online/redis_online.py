"""The online state that all replicas share, in Redis.

One server, or a primary that its clients find by one address, also after another one has taken its place. Every key
expires: with a memory limit, let Redis make room by `maxmemory-policy volatile-lfu`, which takes answers long before it
takes today's budgets.
"""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import AuthenticationError, InvalidResponse, NoScriptError, ResponseError

from understudies.runtime.errors import ConfigurationError
from understudies.runtime.online.address import connector
from understudies.runtime.online.base import Hold, OnlineAway, Purse, Reserved, Settlement, Standing
from understudies.runtime.online.courier import Courier
from understudies.runtime.online.memory import refuse_oversize
from understudies.runtime.online.scripts import PIN, RESERVE, SCRIPTS, SETTLE, Script

_PURSE = "understudies:{money}:"
"""All purses have one hash slot, for a script touches several."""
_VALUE = "understudies:value:"
_PIN = "understudies:pin:"
_WRITES = ("DEL", "understudies:nothing")
"""Done first on every connection: a server that takes no writes, as a replica, is as good as away."""


class RedisOnline:
    """Keeps the promises of `Online` on a Redis server."""

    def __init__(self, url: str, *, timeout_s: float = 0.25) -> None:
        connect, self._place = connector(url)
        loads = [("SCRIPT", "LOAD", script.text) for script in SCRIPTS]
        self._courier = Courier(connect, self._place, prologue=[*loads, _WRITES], timeout_s=timeout_s)

    @property
    def away(self) -> bool:
        return self._courier.away

    async def check(self) -> None:
        try:
            await self._courier.check()
        except AuthenticationError as error:
            raise ConfigurationError(
                f"Redis at {self._place} lets nobody in so: {error}; correct UNDERSTUDIES_ONLINE_URL"
            ) from None
        except (InvalidResponse, ResponseError) as error:
            raise ConfigurationError(
                f"what is at {self._place} is no Redis that can be used: {error}; correct UNDERSTUDIES_ONLINE_URL"
            ) from None

    async def reserve(
        self, source: str, hold: Hold, purses: Sequence[Purse], *, lease_s: float, keep_s: float
    ) -> Reserved:
        asked: list[str | int] = [source, hold.name, hold.nanos, round(lease_s * 1000), round(keep_s)]
        for purse in purses:
            asked += (-1 if purse.limit is None else purse.limit, purse.total)
        granted, *told = await self._run(RESERVE, [_PURSE + purse.key for purse in purses], asked)
        return Reserved(granted == 1, tuple(map(Standing, told[::2], told[1::2])))

    async def settle(self, source: str, settlements: Sequence[Settlement], *, keep_s: float) -> None:
        asked: list[str | int] = [source, round(keep_s)]
        for settlement in settlements:
            asked += (settlement.purse.total, len(settlement.ended))
            asked += (f"{hold.name}:{hold.nanos}" for hold in settlement.ended)
        await self._run(SETTLE, [_PURSE + settlement.purse.key for settlement in settlements], asked)

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._ask("GET", _VALUE + key)
        return value

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        refuse_oversize(value)
        await self._ask("SET", _VALUE + key, value, "PX", round(ttl_s * 1000))

    async def pin(self, key: str, value: str, ttl_s: float) -> str:
        refuse_oversize(value.encode("utf-8", "surrogatepass"))
        pinned: bytes = await self._run(PIN, [_PIN + key], [value, round(ttl_s * 1000)])
        return pinned.decode("utf-8", "surrogatepass")

    async def close(self) -> None:
        await self._courier.close()

    async def _run(self, script: Script, keys: Sequence[str], asked: Sequence[str | int]) -> Any:
        command = ("EVALSHA", script.sha, len(keys), *keys, *asked)
        try:
            return await self._ask(*command)
        except NoScriptError:
            await self._ask("SCRIPT", "LOAD", script.text)
            return await self._ask(*command)

    async def _ask(self, *command: str | bytes | int) -> Any:
        try:
            return await self._courier.ask(*command)
        except NoScriptError:
            raise
        except ResponseError as refusal:
            raise OnlineAway(f"Redis at {self._place} refuses: {refusal}") from refusal
