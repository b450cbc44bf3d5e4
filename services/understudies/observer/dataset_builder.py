"""Build the dataset of each authorised student, in the background, so that events are stored meanwhile."""

import asyncio
import logging
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final

from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import CANONICAL_FORM, NewId, Promotion
from understudies.observer.corpus import read_task_corpus, summarize_profile
from understudies.observer.queries import fetch_latest_promotions, fetch_stages
from understudies.observer.settings import ObserverSettings
from understudies.runtime.bus.bus import Bus
from understudies.runtime.errors import RetryLater
from understudies.runtime.store import Store
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)
_RETRY_INTERVAL: Final = timedelta(seconds=10)


async def build_dataset(
    promotion: Promotion, store: Store, files: ObjectStore, new_id: NewId, settings: ObserverSettings
) -> Promotion:
    """Write the dataset of the answers that the teacher had given when the student was authorised.

    Building it again from the same promotion gives the same dataset.
    """
    corpus = await read_task_corpus(
        store, promotion.task, until=promotion.at, since=_evidence_since(promotion), max_inputs=settings.max_examples
    )
    uri, digest = await asyncio.to_thread(write_dataset, files, promotion.task, corpus.examples)
    _log.info("collected %d examples for %s: %s", len(corpus.examples), promotion.student, uri)
    return Promotion(
        id=new_id(promotion.at),
        at=promotion.at,
        task=promotion.task,
        student=promotion.student,
        stage="collected",
        dataset=uri,
        evidence={
            "digest": digest,
            "canonical_form": CANONICAL_FORM,
            "examples": len(corpus.examples),
            "counts": dict(sorted(Counter(example.split for example in corpus.examples).items())),
            "calls": corpus.calls,
            "unreadable": corpus.unreadable,
            "teachers": [*sorted({example.teacher for example in corpus.examples})],
            "profile": summarize_profile(corpus.profile),
            # The trainer weighs the price of an answer against it.
            **{key: value for key, value in promotion.evidence.items() if key == "teacher_cost_usd"},
        },
    )


def _evidence_since(promotion: Promotion) -> datetime | None:
    """Return the time from which answers are valid if the promotion states one, as after a drift; else None."""
    since = promotion.evidence.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else None


class DatasetBuilder:
    """Build datasets of authorised students and publish `collected`, one at a time in order of arrival.

    Only the store holds the queue durably: after a restart, every student that is authorised and not collected there is
    due.
    """

    def __init__(
        self, settings: ObserverSettings, *, bus: Bus, store: Store, files: ObjectStore, new_id: NewId
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._store = store
        self._files = files
        self._new_id = new_id
        self._pending: dict[str, Promotion] = {}
        self._task: asyncio.Task[None] | None = None
        self._tried_at: datetime | None = None
        self._log_throttle = Throttle()

    async def load_pending(self) -> None:
        """Load the students that were authorised before the start; `retry_due` builds their datasets."""
        promotions = await fetch_latest_promotions(self._store)
        self._pending = {promotion.student: promotion for promotion in promotions if promotion.stage == "authorised"}

    def enqueue(self, promotion: Promotion) -> None:
        """Queue the dataset of an authorised student."""
        self._pending.setdefault(promotion.student, promotion)
        self._start_building()

    def retry_due(self, now: datetime) -> None:
        """Start building the datasets that are still due, after a start or a failure of the store."""
        if self._pending and (self._tried_at is None or now - self._tried_at >= _RETRY_INTERVAL):
            self._tried_at = now
            self._start_building()

    async def stop(self) -> None:
        """Cancel the build in progress; the next start begins it again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start_building(self) -> None:
        if self._task is None:
            # Hold the bus open at once, so that it never looks idle while a build is scheduled.
            busy = ExitStack()
            busy.enter_context(self._bus.hold_open())
            self._task = asyncio.get_running_loop().create_task(self._build_all())
            self._task.add_done_callback(lambda _: busy.close())

    async def _build_all(self) -> None:
        try:
            while self._pending:
                student, promotion = next(iter(self._pending.items()))
                await self._build(promotion)
                del self._pending[student]
        except RetryLater as error:
            if self._log_throttle():
                _log.warning("a dataset is collected later: %s", error)
        finally:
            self._task = None

    async def _build(self, promotion: Promotion) -> None:
        try:
            if await fetch_stages(self._store, promotion.task, promotion.student) == {"authorised"}:
                collected = await build_dataset(promotion, self._store, self._files, self._new_id, self._settings)
                await self._bus.publish(collected)
        except RetryLater:
            raise
        except Exception:  # noqa: BLE001 - one task's calls must not stop the observer repeatedly
            _log.exception("failed to build a dataset for %s; the next start retries", promotion.student)
