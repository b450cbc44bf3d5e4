"""Keep what a training must not do twice, such as begin a job that costs money, across restarts."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore


class Journal(Protocol):
    """Notes of one student's training, each written once."""

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a note; None if it was not written. Raises RetryLater if that cannot be told now."""
        ...

    def write(self, name: str, note: dict[str, Any]) -> None:
        """Write a note for good; one that is there stays as it is. Raises RetryLater if it cannot be written now."""
        ...


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """Journal in the object store that all trainers share, so that whichever goes on with a training finds it."""

    object_store: ObjectStore
    student: str

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a note; None if it was not written. Raises RetryLater if that cannot be told now."""
        path = self._path(name)
        if not self.object_store.exists(path):
            return None
        note = json.loads(self.object_store.read(path))
        if not isinstance(note, dict):
            raise ArtifactError(f"{path!r} was changed after it was written; retrain the task")
        return note

    def write(self, name: str, note: dict[str, Any]) -> None:
        """Write a note for good; one that is there stays as it is. Raises RetryLater if it cannot be written now."""
        self.object_store.write(self._path(name), json.dumps(note, sort_keys=True).encode())

    def _path(self, name: str) -> str:
        digest = hashlib.sha256(self.student.encode("utf-8", "surrogatepass")).hexdigest()
        return f"trainings/{digest}/{name}.json"


class MemoryJournal:
    """Journal of a training that no restart repeats, such as in a benchmark."""

    def __init__(self) -> None:
        self._notes: dict[str, dict[str, Any]] = {}

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a note; None if it was not written."""
        return self._notes.get(name)

    def write(self, name: str, note: dict[str, Any]) -> None:
        """Write a note for good; one that is there stays as it is."""
        self._notes.setdefault(name, note)
