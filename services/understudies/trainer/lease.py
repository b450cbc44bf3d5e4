"""Let one trainer alone train a student, however many are told to."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from understudies.runtime.errors import RetryLater
from understudies.runtime.online.base import OnlineState, OnlineUnavailable

_TTL_S: Final = 120.0
_RENEWALS: Final = 4
"""Renewals in the lifetime of a lease, so that some may fail."""

_log = logging.getLogger(__name__)


class TrainedElsewhere(RetryLater):
    """Report that another trainer trains the student now; its outcome comes as an event, or its lease expires."""


class TrainingLease:
    """Leases on the trainings of one process, in the state that all trainers share.

    A training takes minutes to hours, in which a rebalance may hand its event to another trainer. That one defers it
    until the outcome is published or, since the first has crashed, the lease has expired.
    """

    def __init__(self, online: OnlineState, holder: str, *, ttl_s: float = _TTL_S) -> None:
        self._online = online
        self._holder = holder
        self._ttl_s = ttl_s

    @asynccontextmanager
    async def hold(self, student: str) -> AsyncIterator[None]:
        """Hold the lease on a student inside the context, and for its remaining time after it.

        Raises TrainedElsewhere while another holds it, and OnlineUnavailable while that is not known.
        """
        key = f"training:{student}"
        holder = await self._acquire(key)
        if holder != self._holder:
            raise TrainedElsewhere(f"{student} is trained by another trainer, {holder!r}")
        renewals = asyncio.create_task(self._keep(key, student))
        try:
            yield
        finally:
            renewals.cancel()
            await asyncio.gather(renewals, return_exceptions=True)

    async def _keep(self, key: str, student: str) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / _RENEWALS)
            try:
                holder = await self._acquire(key)
            except OnlineUnavailable as error:
                _log.warning("the lease on training %s is not renewed: %s", student, error)
                continue
            if holder != self._holder:
                _log.warning("the lease on training %s had expired, and %r trains it too", student, holder)

    async def _acquire(self, key: str) -> str:
        return await self._online.acquire_lease(key, self._holder, self._ttl_s)
