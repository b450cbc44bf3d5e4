"""Collects datasets beside the sink, so that events are stored meanwhile."""

import asyncio
import logging
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final

from understudies.events import NewId, Promotion
from understudies.observer.collect import collect
from understudies.observer.reads import in_force, stages_of
from understudies.observer.settings import ObserverSettings
from understudies.runtime import Bus, RetryLater, Seldom, Store
from understudies.students import Files

_AGAIN: Final = timedelta(seconds=10)

_log = logging.getLogger(__name__)


class Collector:
    """Publishes `collected` for authorised students, one at a time, in the order in which they came.

    Nothing of it is kept but in the store: who was authorised there and not collected is due after a restart.
    """

    def __init__(self, settings: ObserverSettings, *, bus: Bus, store: Store, files: Files, new_id: NewId) -> None:
        self._settings = settings
        self._bus = bus
        self._store = store
        self._files = files
        self._new_id = new_id
        self._due: dict[str, Promotion] = {}
        self._work: asyncio.Task[None] | None = None
        self._tried_at: datetime | None = None
        self._complain = Seldom()

    async def recall(self) -> None:
        """Find in the store who was authorised before the start; `go_on` collects for them."""
        stories = await in_force(self._store)
        self._due = {story.student: story for story in stories if story.stage == "authorised"}

    def begin(self, story: Promotion) -> None:
        """Collect for a student that was authorised, after those that came before it."""
        self._due.setdefault(story.student, story)
        self._start()

    def go_on(self, now: datetime) -> None:
        """Collect what is due still, as after a start or where something was away."""
        if self._due and (self._tried_at is None or now - self._tried_at >= _AGAIN):
            self._tried_at = now
            self._start()

    async def stop(self) -> None:
        """Give up what is under way; the next start begins it again."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def _start(self) -> None:
        if self._work is None:
            # From now on, as it must not seem for a moment that all is done.
            busy = ExitStack()
            busy.enter_context(self._bus.busy())
            self._work = asyncio.get_running_loop().create_task(self._collect_all())
            self._work.add_done_callback(lambda _: busy.close())

    async def _collect_all(self) -> None:
        try:
            while self._due:
                student, story = next(iter(self._due.items()))
                await self._collect(story)
                del self._due[student]
        except RetryLater as error:
            if self._complain():
                _log.warning("a dataset is collected later: %s", error)
        finally:
            self._work = None

    async def _collect(self, story: Promotion) -> None:
        try:
            if await stages_of(self._store, story.task, story.student) == {"authorised"}:
                collected = await collect(story, self._store, self._files, self._new_id, self._settings)
                await self._bus.publish(collected)
        except RetryLater:
            raise
        except Exception:  # noqa: BLE001 - one task's calls must not end the observer again and again
            _log.exception("no dataset for %s, which the next start tries again", story.student)
