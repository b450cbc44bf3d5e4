"""Students kept loaded, by artifact."""

import asyncio
from collections import OrderedDict

from understudies.students.base import Student
from understudies.students.files import Files
from understudies.students.load import load_student


class Shelf:
    """Loads each artifact once and keeps the most recently used; artifacts never change, so neither do students."""

    def __init__(self, files: Files, *, keep: int = 64) -> None:
        self._files = files
        self._keep = keep
        self._students: OrderedDict[str, asyncio.Future[Student]] = OrderedDict()

    async def get(self, uri: str) -> Student:
        """The student of an artifact; raises ArtifactError where it cannot be loaded."""
        pending = self._students.get(uri)
        if pending is None:
            pending = asyncio.ensure_future(asyncio.to_thread(load_student, self._files, uri))
            self._students[uri] = pending
            while len(self._students) > self._keep:
                self._students.popitem(last=False)
        self._students.move_to_end(uri)
        try:
            return await asyncio.shield(pending)
        except Exception:
            self._students.pop(uri, None)
            raise
