"""Tick a service until it is stopped or fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from understudies.runtime.clock import Clock
from understudies.runtime.errors import RetryLater
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)
_PATIENCE_S: Final = 3.0
"""Longest wait at shutdown for a tick in progress."""


async def keep_ticking(
    tick: Callable[[datetime], Awaitable[None]],
    wait_failed: Callable[[], Awaitable[None]],
    clock: Clock,
    stopping: asyncio.Event,
    seconds: float,
) -> None:
    """Tick every `seconds` until `stopping` is set; raises the error of a failed service, so that the process ends.

    A tick that raises RetryLater, such as while the broker is unavailable, is left to the next.
    """
    log_throttle = Throttle()
    ends = asyncio.ensure_future(wait_failed())
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        while not stopped.done():
            try:
                await _wait_tick(asyncio.ensure_future(tick(clock.now())), {ends, stopped})
            except RetryLater as error:
                if log_throttle():
                    _log.warning("retrying a tick: %s", error)
            await asyncio.wait({ends, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ends.done():
                ends.result()
                return
    finally:
        ends.cancel()
        stopped.cancel()


async def _wait_tick(tick: "asyncio.Future[None]", over: "set[asyncio.Future[Any]]") -> None:
    """Wait for a tick; during shutdown only briefly, as it may wait for a service that works for hours."""
    try:
        await asyncio.wait({tick, *over}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({tick}, timeout=_PATIENCE_S)
        if tick.done():
            tick.result()
    finally:
        tick.cancel()
