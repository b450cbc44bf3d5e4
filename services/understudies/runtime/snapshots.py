"""Save and load snapshots: a service's state with the offsets that it covers."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from understudies.events import CANONICAL_FORM
from understudies.runtime.errors import StopService
from understudies.runtime.service import Stateful
from understudies.runtime.throttle import Throttle

_JSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

_FIRST_CANONICAL_FORM: Final = 1
"""That of snapshots which do not say."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of a service once everything below the offsets had been handled."""

    state: dict[str, Any]
    offsets: dict[tuple[str, int], int]
    generation: str
    since: datetime | None = None
    """The state covers all events stored before this time; None if that is unknown."""
    canonical_form: int = CANONICAL_FORM
    """The form of the requests whose fingerprints are in the state."""
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    """The ids of the topics of the offsets; empty where they were not known."""

    def start_offsets(self, generation: str) -> dict[tuple[str, int], int]:
        """Return the offsets to start from; none on a broker of another generation, whose offsets begin at zero."""
        return dict(self.offsets) if generation == self.generation else {}


@dataclass(frozen=True, slots=True)
class SnapshotStore:
    """Snapshots of services, one JSON file each, in a folder.

    `require_owned`, if there is one, is asked before a file is replaced, and raises StopService if it may not be.
    """

    folder: Path
    require_owned: Callable[[], None] | None = None

    def save(
        self,
        service: str,
        state: Mapping[str, Any],
        offsets: Mapping[tuple[str, int], int],
        generation: str,
        since: datetime | None = None,
    ) -> None:
        """Replace a service's snapshot."""
        self.write(service, encode_snapshot(state, offsets, generation, since))

    def write(self, service: str, body: bytes) -> None:
        """Atomically replace a service's snapshot by an encoded one: a crash leaves either the old or the new one."""
        self._require_owned()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(service)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        self._require_owned()
        part.replace(path)
        self._sync_folder()

    def has(self, service: str) -> bool:
        """Return whether there is a snapshot of a service, whatever is in it."""
        return self._path(service).exists()

    def load(self, service: str) -> Snapshot | None:
        """Load a service's snapshot; move a corrupt one aside and return None, so that the service starts empty.

        Keep one with fingerprints of an earlier canonical form, as nearly all of them are the same in both; raise
        StopService for one of a later form.
        """
        path = self._path(service)
        try:
            return _check_form(_decode_snapshot(json.loads(path.read_bytes())), path)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            aside = path.with_suffix(".corrupt")
            path.replace(aside)
            log.warning("snapshot %s cannot be read (%r) and was moved to %s", path, error, aside)
            return None

    def _require_owned(self) -> None:
        if self.require_owned is not None:
            self.require_owned()

    def _path(self, service: str) -> Path:
        return self.folder / f"{service}.json"

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def encode_snapshot(
    state: Mapping[str, Any],
    offsets: Mapping[tuple[str, int], int],
    generation: str,
    since: datetime | None = None,
    topic_ids: Mapping[str, str] | None = None,
) -> bytes:
    """Encode a snapshot as JSON."""
    body = {
        "generation": generation,
        "canonical_form": CANONICAL_FORM,
        "since": since and since.isoformat(),
        "topic_ids": dict(topic_ids or {}),
        "offsets": {f"{topic}/{partition}": offset for (topic, partition), offset in offsets.items()},
        "state": state,
    }
    try:
        return orjson.dumps(body, option=_JSON_OPTIONS)
    except orjson.JSONEncodeError:
        # Integers above 64 bits and lone surrogates, which json accepts, or values that are not JSON at all.
        return json.dumps(body).encode()


def _check_form(snapshot: Snapshot, path: Path) -> Snapshot:
    if snapshot.canonical_form > CANONICAL_FORM:
        raise StopService(
            f"snapshot {str(path)!r} has fingerprints of canonical form {snapshot.canonical_form}, and this version "
            f"knows form {CANONICAL_FORM}: run the version that wrote it, or remove the snapshot to start afresh"
        )
    if snapshot.canonical_form < CANONICAL_FORM:
        log.warning(
            "snapshot %s has fingerprints of canonical form %d, now it is %d: plain text is the same, but tool calls, "
            "pictures and Responses that the SDK recorded may count as new inputs once; remove the snapshot to start "
            "afresh where that matters",
            path,
            snapshot.canonical_form,
            CANONICAL_FORM,
        )
    return snapshot


def _decode_snapshot(body: dict[str, Any]) -> Snapshot:
    offsets: dict[tuple[str, int], int] = {}
    for position, offset in body["offsets"].items():
        topic, _, partition = position.rpartition("/")
        offsets[topic, int(partition)] = int(offset)
    state = body["state"]
    if not isinstance(state, dict):
        raise TypeError(f"state is {type(state).__name__}, not an object")
    since = body.get("since")
    form = int(body.get("canonical_form", _FIRST_CANONICAL_FORM))
    ids = {str(topic): str(id_) for topic, id_ in body.get("topic_ids", {}).items()}
    return Snapshot(state, offsets, str(body["generation"]), since and datetime.fromisoformat(since), form, ids)


_MIN_INTERVAL_FACTOR: Final = 10.0
"""Least pause between snapshots, as a multiple of the time to write one: a large state is saved less often."""

_log = logging.getLogger(__name__)


class SnapshotWriter:
    """Write the snapshots of one service in a thread, one after the other.

    The state is encoded on the event loop, before it can change: encoding in a thread would block the process no less,
    as Python runs one thread at a time. Only the disk write runs in the thread.
    """

    def __init__(self, snapshots: SnapshotStore, service: str, timer: Callable[[], float]) -> None:
        self._snapshots = snapshots
        self._service = service
        self._timer = timer
        self._write_task: asyncio.Task[bool] | None = None
        self._next_due_at = float("-inf")
        self._log_throttle = Throttle()

    @property
    def is_due(self) -> bool:
        """True if no write is in progress, and the last snapshot is old enough."""
        return (self._write_task is None or self._write_task.done()) and self._timer() >= self._next_due_at

    def start_write(self, encode: Callable[[], bytes]) -> None:
        """Take a snapshot, and begin to write it; the previous write must have ended."""
        began = self._timer()
        self._write_task = asyncio.get_running_loop().create_task(self._write(encode(), began))

    async def wait_written(self) -> bool:
        """Wait until no write is in progress; returns False if the last one failed.

        Cancelling the wait does not cancel the write.
        """
        return True if self._write_task is None else await asyncio.shield(self._write_task)

    async def _write(self, body: bytes, began: float) -> bool:
        try:
            await asyncio.to_thread(self._snapshots.write, self._service, body)
        except OSError as error:
            # A full disk must not stop the service: continue, and retry with the next snapshot.
            if self._log_throttle():
                _log.error("%s cannot save its snapshot and will retry: %s", self._service, error)
            return False
        now = self._timer()
        self._next_due_at = now + _MIN_INTERVAL_FACTOR * (now - began)
        return True


async def restore_snapshot(service: Stateful, name: str, snapshot: Snapshot) -> None:
    """Restore a service; raises StopService if the snapshot does not fit this version."""
    try:
        await service.restore(snapshot.state)
    except (ValueError, KeyError, TypeError) as error:
        raise StopService(
            f"the snapshot of {name} does not fit this version ({error}): put the one of a backup in its place or "
            "run the version that wrote it; where its state may be lost, remove it to start afresh"
        ) from error
