"""Erase calls from the store, and what was made of them from the artifact root and the cache."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from understudies.datasets.object_store import ObjectStore
from understudies.erasure.request import ErasureReport, ErasureRequest
from understudies.erasure.survey import survey
from understudies.events import NewId, Promotion, Steering, steer
from understudies.observer.erasures import ErasedCalls, record_erasure
from understudies.runtime.clock import Clock
from understudies.runtime.online.base import OnlineState
from understudies.runtime.store import Store

_log = logging.getLogger(__name__)


class Eraser:
    """Erase a tenant's or a request's calls from an installation.

    `publish` puts the request for a new student on `promotions`; `wait_stored` waits for the calls so far to be stored.
    Without an online state, answers are cached nowhere.
    """

    def __init__(
        self,
        *,
        store: Store,
        files: ObjectStore,
        online: OnlineState | None,
        publish: Callable[[Promotion], Awaitable[None]],
        wait_stored: Callable[[], Awaitable[None]] | None = None,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._store = store
        self._files = files
        self._online = online
        self._publish = publish
        self._wait_stored = wait_stored
        self._clock = clock
        self._new_id = new_id

    async def run(self, request: ErasureRequest) -> ErasureReport:
        """Return what would go, and remove it if that is asked for; a second run ends what a first began.

        Raises RetryLater while a part of the installation is unavailable.
        """
        now = self._clock.now()
        if self._wait_stored is not None:
            await self._wait_stored()
        calls = ErasedCalls(tenant=request.tenant, fingerprint=request.fingerprint, until=now)
        report = await survey(calls, self._store, self._files)
        if not request.execute:
            return report
        # 1. Recorded first: the observer repeats the deletion if this process ends before its end.
        report = report.model_copy(update={"id": self._new_id(now)})
        await record_erasure(self._store, calls, str(report.id), request.by, request.why, report.model_dump_json())
        # 2. Rows before anything is trained anew: a dataset made meanwhile would hold them.
        await calls.delete(self._store)
        for reference in (*report.datasets, *report.artifacts):
            await asyncio.to_thread(self._files.delete, reference)
        if self._online is not None:
            await self._online.clear_values()
        # 3. Begun anew, an erasure knows from its record which students there were.
        for task in report.retrained:
            await self._publish(self._retraining(task, request, report))
        _log.warning("erasure %s by %s: %d calls of %s", report.id, request.by, report.calls, request)
        return report

    def _retraining(self, task: str, request: ErasureRequest, report: ErasureReport) -> Promotion:
        now = self._clock.now()
        names = ", ".join(one.name for one in report.students if one.task == task and not one.has_ended)
        why = f"erasure {report.id} ({request.why}): {names} learned from what was erased"
        return steer(task, Steering(action="retrain", by=request.by), why, at=now, event_id=self._new_id(now))
