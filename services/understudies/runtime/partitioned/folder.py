"""Keep the state of a service by partition in a data folder that several processes share."""

import asyncio
import contextlib
import json
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from understudies.runtime.bus.task_partition import TaskPartition
from understudies.runtime.errors import ConfigurationError, StopService
from understudies.runtime.process import DataLock, wait_lock
from understudies.runtime.service import Partitionable
from understudies.runtime.snapshots import SnapshotStore, encode_snapshot, restore_snapshot

_SNAPSHOTS: Final = "snapshots"
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError)

_log = logging.getLogger(__name__)


def is_split(data: Path, service: str) -> bool:
    """Return whether the state of a service in a data folder is kept by partition."""
    try:
        return _read_marker(_marker(data, service)).count is not None
    except FileNotFoundError:
        return False
    except _UNREADABLE:
        return True


def unshared_id(data: Path, service: str) -> str | None:
    """Return the id of a data folder whose state nobody has dealt out yet; None if it has no id, or somebody has."""
    try:
        marker = _read_marker(_marker(data, service))
    except _UNREADABLE:
        return None
    return marker.id if marker.count is None else None


@dataclass(frozen=True, slots=True)
class _Marker:
    """What the file beside the state by partition tells: the folder's id, and once it is dealt out, among how many."""

    id: str
    count: int | None


class PartitionFolder:
    """State of a service in a data folder, by partition: a snapshot and a lock of each."""

    def __init__(self, data: Path, service: str, count: int) -> None:
        self._data = data
        self._service = service
        self.count = count
        self._is_dealt = False

    async def open(self, given_up: asyncio.Event) -> str | None:
        """Return the id of the folder, which it gets at the first time; its state stays as it is.

        None if another process was working on that until `given_up` was set.
        Raises ConfigurationError if the state is of another number of partitions.
        """
        async with self._lock_marker(given_up) as lock:
            if lock is None:
                return None
            path = _marker(self._data, self._service)
            if not path.exists():
                _write_json(path, {"id": uuid.uuid4().hex})
            return self._require_marker(path).id

    async def deal_out(
        self, number: int, create_empty: Callable[[], Awaitable[Partitionable]], given_up: asyncio.Event
    ) -> bool:
        """Split the state of a single process by partition, if there is one and nobody has; the folder is open.

        It is for a process that the group has given a partition, and that holds its lock: there is no way back. Of a
        snapshot that was put here once other partitions had begun, it takes that partition's. False if another process
        was splitting the state until `given_up` was set.
        """
        if self._is_dealt and not self._whole.has(self._service):
            return True
        async with self._lock_marker(given_up) as lock:
            if lock is None:
                return False
            path = _marker(self._data, self._service)
            marker = self._require_marker(path)
            if marker.count is None:
                await self._split(range(self.count), create_empty)
                _write_json(path, {"id": marker.id, "count": self.count})
            elif not self.snapshots(number).has(self._service):
                await self._split([number], create_empty)
            if all(self.snapshots(each).has(self._service) for each in range(self.count)):
                # After the marker: a kill in between must leave no folder that seems to be that of a single process.
                self._set_aside_whole()
            self._is_dealt = True
            return True

    def has_state(self, number: int) -> bool:
        """Return whether there is state of a partition, or that of a single process, which can be dealt out."""
        # The whole first, as another process may deal it out meanwhile.
        return self._whole.has(self._service) or self.snapshots(number).has(self._service)

    @property
    def _whole(self) -> SnapshotStore:
        return SnapshotStore(self._data / _SNAPSHOTS)

    def _lock_marker(self, given_up: asyncio.Event) -> AbstractAsyncContextManager[DataLock | None]:
        def waiting(holder: str, seconds: float) -> None:
            _log.info("%s waits for process %s, which deals out the state, for %.0f s", self._service, holder, seconds)

        return wait_lock(self._data, f"{self._service}.split", waiting, given_up)

    def _require_marker(self, path: Path) -> _Marker:
        try:
            marker = _read_marker(path)
        except _UNREADABLE as error:
            raise ConfigurationError(
                f"{str(path)!r} cannot be read ({error}): put that of a backup in its place, or remove it with "
                f"{str(self._data / _SNAPSHOTS)!r} to start without state, by the option that the next start names"
            ) from error
        if marker.count not in (None, self.count):
            raise ConfigurationError(
                f"the state of {self._service} in {str(self._data)!r} is of {marker.count} partitions, and the topics "
                f"have {self.count}: tasks are in other partitions now. Start with another --data folder and "
                f"--in-place-of {marker.id}: it begins without state then"
            )
        return marker

    def snapshots(self, number: int, lock: DataLock | None = None) -> SnapshotStore:
        """Return the snapshots of a partition; with its lock, none is replaced once another process has that."""
        folder = self._data / _SNAPSHOTS / f"partition-{number}-of-{self.count}"
        return SnapshotStore(folder, lock.require_held if lock else None)

    def lock(self, number: int, given_up: asyncio.Event) -> AbstractAsyncContextManager[DataLock | None]:
        """Wait for the lock of a partition, which ends with the process; None if `given_up` was set before that."""

        def waiting(holder: str, seconds: float) -> None:
            _log.log(
                logging.WARNING if seconds > 1 else logging.INFO,
                "%s waits for partition %d, which process %s still holds, for %.0f s; if it is stopped or hangs, end "
                "it with SIGKILL: its locks end with it",
                self._service,
                number,
                holder,
                seconds,
            )

        return wait_lock(self._data, f"{self._service}-{number}-of-{self.count}", waiting, given_up)

    async def _split(self, numbers: Sequence[int], create_empty: Callable[[], Awaitable[Partitionable]]) -> None:
        """Deal out the snapshot of a single process to these partitions, if there is one."""
        snapshot = self._whole.load(self._service)
        if snapshot is None:
            return
        for number in numbers:
            partition = TaskPartition(number, self.count)
            service = await create_empty()
            await restore_snapshot(service, self._service, snapshot)
            service.keep_tasks(partition.owns)
            offsets = {where: offset for where, offset in snapshot.offsets.items() if partition.reads(*where)}
            body = encode_snapshot(service.state(), offsets, snapshot.generation, snapshot.since, snapshot.topic_ids)
            # In a thread, so that meanwhile the process answers who asks whether it lives.
            await asyncio.to_thread(self._write_part, number, body)
        _log.info("%s has dealt out its state by task: %d partitions", self._service, len(numbers))

    def _set_aside_whole(self) -> None:
        """Rename the snapshot of a single process, if there is one: each partition has a state of its own."""
        before = self._whole.folder / f"{self._service}.json"
        with contextlib.suppress(FileNotFoundError):
            before.rename(before.with_suffix(".json.before-partitions"))

    def _write_part(self, number: int, body: bytes) -> None:
        snapshots = self.snapshots(number)
        try:
            snapshots.write(self._service, body)
        except OSError as error:
            raise StopService(
                f"cannot deal out the state of {self._service} into {str(snapshots.folder)!r}: {error.strerror}; it "
                "needs as much space again as its snapshot. The single process's state is as it was"
            ) from error


def require_whole(data: Path, service: str) -> None:
    """Raise ConfigurationError if the state in a data folder is kept by partition."""
    if is_split(data, service):
        raise ConfigurationError(
            f"the state of {service} in {str(data)!r} is kept by partition: pass --partitioned, or choose another "
            "folder for this process with --data"
        )


def _marker(data: Path, service: str) -> Path:
    return data / f"{service}.partitions.json"


def _read_marker(path: Path) -> _Marker:
    """Return what a marker tells; raises one of `_UNREADABLE` if it is missing or damaged."""
    body: Any = json.loads(path.read_bytes())
    return _Marker(str(body["id"]), int(body["count"]) if "count" in body else None)


def _write_json(path: Path, body: Any) -> None:
    """Write a file that is either whole or absent after a crash."""
    part = path.with_suffix(".part")
    try:
        with part.open("w") as file:
            json.dump(body, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StopService(f"cannot write {str(path)!r}: {error.strerror}") from error
