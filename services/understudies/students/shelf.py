"""Students kept loaded, by artifact."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from understudies.runtime import RetryLater
from understudies.students.base import Student, close_student
from understudies.students.connection import Connections
from understudies.students.endpoint import Endpoints
from understudies.students.files import Files
from understudies.students.load import load_student

_AGAIN_S: Final = 10.0
"""Until then nobody waits again for files that were away: to find that out may take a driver long."""


class Shelf:
    """Loads each artifact once and keeps the most recently used; artifacts never change, so neither do students.

    Students at the same endpoint share its connections. `endpoints` are by default those of the environment.
    """

    def __init__(
        self,
        files: Files,
        *,
        keep: int = 64,
        endpoints: Endpoints | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._timer = timer
        self._away: dict[str, float] = {}
        self._keep = keep
        self._endpoints = endpoints
        self._connections = Connections()
        self._students: OrderedDict[str, asyncio.Future[Student]] = OrderedDict()
        self._leaving: set[asyncio.Task[None]] = set()

    async def get(self, uri: str) -> Student:
        """The student of an artifact; raises ArtifactError where it cannot be loaded, RetryLater while it is away."""
        if self._timer() < self._away.get(uri, float("-inf")):
            raise RetryLater(f"{uri!r} was away a moment ago")
        self._away.pop(uri, None)
        pending = self._students.get(uri)
        if pending is None:
            pending = asyncio.ensure_future(
                asyncio.to_thread(load_student, self._files, uri, self._endpoints, self._connections)
            )
            self._students[uri] = pending
            while len(self._students) > self._keep:
                self._let_go(self._students.popitem(last=False)[1])
        self._students.move_to_end(uri)
        try:
            return await asyncio.shield(pending)
        except Exception as error:
            self._students.pop(uri, None)
            if isinstance(error, RetryLater):
                self._away[uri] = self._timer() + _AGAIN_S
            raise

    async def close(self) -> None:
        """Let go of all students, each once the calls under way have ended; those asked for later are loaded anew."""
        while self._students:
            self._let_go(self._students.popitem()[1])
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._connections.close()

    def _let_go(self, pending: asyncio.Future[Student]) -> None:
        task = asyncio.ensure_future(_closed(pending))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _closed(pending: asyncio.Future[Student]) -> None:
    [student] = await asyncio.gather(pending, return_exceptions=True)
    if not isinstance(student, BaseException):
        await close_student(student)
