"""Load each student once by its artifact, and share it among all calls."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta

from understudies.datasets.errors import ArtifactError
from understudies.runtime.errors import UnderstudiesError
from understudies.students.base import Student, StudentError

StudentLoader = Callable[[str], Awaitable[Student]]
"""Loads the student whose artifact is at a URI."""

RETRY_AFTER = timedelta(seconds=30)

_log = logging.getLogger(__name__)


class StudentRegistry:
    """Load students in the background; retry one that cannot be loaded after half a minute."""

    def __init__(self, load: StudentLoader) -> None:
        self._load = load
        self._loads: dict[str, tuple[datetime, asyncio.Task[Student | None]]] = {}
        self._released: set[asyncio.Task[Student | None]] = set()
        self._failures: dict[str, str] = {}

    def preload(self, uri: str, now: datetime) -> asyncio.Task[Student | None]:
        """Begin loading a student, unless that has begun or has just failed; the result is None if it failed."""
        begun = self._loads.get(uri)
        if begun is not None:
            at, task = begun
            failed = task.done() and (task.cancelled() or task.result() is None)
            if not failed or now - at < RETRY_AFTER:
                return task
        task = asyncio.get_running_loop().create_task(self._try_load(uri))
        self._loads[uri] = now, task
        return task

    async def get(self, uri: str, now: datetime) -> Student:
        """Return the student of an artifact; raises StudentError if it cannot be loaded.

        Cancelling the wait does not cancel the load, so the next call finds the student.
        """
        student = await asyncio.shield(self.preload(uri, now))
        if student is None:
            raise StudentError(f"the student at {uri!r} cannot be loaded")
        return student

    def loaded(self, uri: str) -> Student | None:
        """Return the student of an artifact, if it is loaded."""
        begun = self._loads.get(uri)
        return None if begun is None or not begun[1].done() or begun[1].cancelled() else begun[1].result()

    def kind(self, uri: str) -> str | None:
        """Return the kind of an artifact's student; None if it is not loaded."""
        student = self.loaded(uri)
        return None if student is None else student.kind

    @property
    def failures(self) -> Mapping[str, str]:
        """Why students could not be loaded at the last attempt, by the artifact; those loaded since are not named."""
        return self._failures

    def retain(self, uris: Collection[str]) -> None:
        """Release all students but these; a load for which a call may be waiting continues to its end."""
        for uri in self._loads.keys() - set(uris):
            _, task = self._loads.pop(uri)
            self._failures.pop(uri, None)
            self._released.add(task)
            task.add_done_callback(self._released.discard)

    def close(self) -> None:
        """Release all students and cancel all loads."""
        self.retain(())
        for task in self._released:
            task.cancel()

    async def wait_idle(self) -> None:
        """Wait until nothing is being loaded."""
        await asyncio.gather(*(task for _, task in self._loads.values()), return_exceptions=True)

    async def _try_load(self, uri: str) -> Student | None:
        try:
            student = await self._load(uri)
        except Exception as error:  # noqa: BLE001 - an artifact may fail in any way; the teacher serves meanwhile
            _log.error("cannot load the student at %r: %r", uri, error)
            if uri in self._loads:
                self._failures[uri] = _describe(error)
            return None
        self._failures.pop(uri, None)
        return student


def _describe(error: Exception) -> str:
    """Describe an error by its message if that is our own; any other may quote a prompt."""
    return str(error) if isinstance(error, ArtifactError | UnderstudiesError) else type(error).__name__
