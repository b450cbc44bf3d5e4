"""Cache loaded students by artifact."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from understudies.datasets.object_store import ObjectStore
from understudies.runtime.errors import RetryLater
from understudies.students.base import Student, close_student
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import EndpointSettings
from understudies.students.loader import load_student
from understudies.students.lora.engines import create_engine
from understudies.students.lora.settings import LoraServingSettings

_RETRY_AFTER_S: Final = 10.0
"""Time for which unavailable files are not tried again, as a driver may take long to detect that."""


class StudentCache:
    """LRU cache of students, each loaded once; artifacts never change, so neither do students.

    Students of the same endpoint share its connections, and LoRA students one engine. `endpoints` and the engine's
    settings are by default those of the environment.
    """

    def __init__(
        self,
        object_store: ObjectStore,
        *,
        capacity: int = 64,
        endpoints: EndpointSettings | None = None,
        lora: LoraServingSettings | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._object_store = object_store
        self._timer = timer
        self._unavailable_until: dict[str, float] = {}
        self._capacity = capacity
        self._endpoints = endpoints
        self._pools = EndpointPools()
        self._engine = create_engine(lora)
        self._students: OrderedDict[str, asyncio.Future[Student]] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self, uri: str) -> Student:
        """Return the student of an artifact; raises ArtifactError if it cannot be loaded, RetryLater if not now."""
        if self._timer() < self._unavailable_until.get(uri, float("-inf")):
            raise RetryLater(f"{uri!r} was unavailable a moment ago")
        self._unavailable_until.pop(uri, None)
        pending = self._students.get(uri)
        if pending is None:
            pending = asyncio.ensure_future(
                asyncio.to_thread(load_student, self._object_store, uri, self._endpoints, self._pools, self._engine)
            )
            self._students[uri] = pending
            while len(self._students) > self._capacity:
                self._evict(self._students.popitem(last=False)[1])
        self._students.move_to_end(uri)
        try:
            return await asyncio.shield(pending)
        except Exception as error:
            self._students.pop(uri, None)
            if isinstance(error, RetryLater):
                self._unavailable_until[uri] = self._timer() + _RETRY_AFTER_S
            raise

    def release(self, uri: str) -> None:
        """Release a student that is no longer needed, once its calls in progress have ended; a request loads it again.

        One of thousands of examples takes tens of megabytes.
        """
        pending = self._students.pop(uri, None)
        if pending is not None:
            self._evict(pending)

    async def close(self) -> None:
        """Release all students, each once its calls in progress have ended; later requests load them again."""
        while self._students:
            self._evict(self._students.popitem()[1])
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._engine.close()
        await self._pools.close()

    def _evict(self, pending: asyncio.Future[Student]) -> None:
        task = asyncio.ensure_future(_close_when_loaded(pending))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close_when_loaded(pending: asyncio.Future[Student]) -> None:
    [student] = await asyncio.gather(pending, return_exceptions=True)
    if not isinstance(student, BaseException):
        await close_student(student)
