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

log = logging.getLogger(__name__)


async def build_dataset(
    promotion: Promotion, store: Store, files: ObjectStore, new_id: NewId, settings: ObserverSettings
) -> Promotion:
    """Write what the teacher had answered when the student was authorised; one promotion makes one dataset."""
    corpus = await read_task_corpus(
        store, promotion.task, until=promotion.at, since=_evidence_since(promotion), max_inputs=settings.max_examples
    )
    uri, digest = await asyncio.to_thread(write_dataset, files, promotion.task, corpus.examples)
    log.info("collected %d examples for %s: %s", len(corpus.examples), promotion.student, uri)
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
        },
    )


def _evidence_since(promotion: Promotion) -> datetime | None:
    """Where earlier answers no longer hold, as after a drift, the promotion says since when they do."""
    since = promotion.evidence.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else None


_RETRY_INTERVAL: Final = timedelta(seconds=10)

_log = logging.getLogger(__name__)


class DatasetBuilder:
    """Publishes `collected` for authorised students, one at a time, in the order in which they came.

    Nothing of it is kept but in the store: who was authorised there and not collected is due after a restart.
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
        """Find in the store who was authorised before the start; `retry_due` collects for them."""
        stories = await fetch_latest_promotions(self._store)
        self._pending = {story.student: story for story in stories if story.stage == "authorised"}

    def enqueue(self, promotion: Promotion) -> None:
        """Collect for a student that was authorised, after those that came before it."""
        self._pending.setdefault(promotion.student, promotion)
        self._start_building()

    def retry_due(self, now: datetime) -> None:
        """Collect what is due still, as after a start or where something was away."""
        if self._pending and (self._tried_at is None or now - self._tried_at >= _RETRY_INTERVAL):
            self._tried_at = now
            self._start_building()

    async def stop(self) -> None:
        """Give up what is under way; the next start begins it again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start_building(self) -> None:
        if self._task is None:
            # From now on, as it must not seem for a moment that all is done.
            busy = ExitStack()
            busy.enter_context(self._bus.hold_open())
            self._task = asyncio.get_running_loop().create_task(self._build_all())
            self._task.add_done_callback(lambda _: busy.close())

    async def _build_all(self) -> None:
        try:
            while self._pending:
                student, story = next(iter(self._pending.items()))
                await self._build(story)
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
        except Exception:  # noqa: BLE001 - one task's calls must not end the observer again and again
            _log.exception("no dataset for %s, which the next start tries again", promotion.student)
