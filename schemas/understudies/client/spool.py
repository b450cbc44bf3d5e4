"""Keep events on disk while Kafka is unavailable, bounded, in order and across restarts of the process."""

import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has none: there each process delivers its own file alone
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".events"
_CHUNK = 100


class BusMessage(NamedTuple):
    """A message for the bus, as bytes."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class EventSpool:
    """A folder of files, one of each process; files of processes that have ended are taken over.

    Appending and reading raise OSError. A line that was only half written, as when the machine stopped, is skipped.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._own: IO[bytes] | None = None
        self._taken: list[IO[bytes]] = []
        self._offset = 0
        self._next = 0
        self._is_searched = False

    @property
    def is_empty(self) -> bool:
        """True if nothing waits, in this process's file or in one that is left of another."""
        self._search()
        return not self._taken and (self._own is None or self._size == self._offset)

    def append(self, messages: Sequence[BusMessage]) -> int:
        """Append as many of the messages as there is room for, and return how many that were."""
        lines = [_encode(message) for message in messages]
        room = self._max_bytes - self._size
        count = 0
        for line in lines:
            room -= len(line)
            if room < 0:
                break
            count += 1
        if count:
            own = self._own = self._own or self._create()
            own.seek(0, os.SEEK_END)
            own.write(b"".join(lines[:count]))
            own.flush()
            os.fsync(own.fileno())
        return count

    def read(self) -> list[BusMessage]:
        """Return the oldest messages, at most a hundred; `remove` removes them."""
        self._search()
        file = self._taken[0] if self._taken else self._own
        if file is None:
            return []
        file.seek(self._offset)
        read: list[BusMessage] = []
        while len(read) < _CHUNK and (line := file.readline()):
            message = _decode(line)
            if message is not None:
                read.append(message)
        self._next = file.tell()
        if not read:
            self.remove()
        return read

    def remove(self) -> None:
        """Remove what was read last; a file that was read to its end is emptied, or deleted if it is another's."""
        self._offset = self._next
        if self._taken and self._offset >= os.fstat(self._taken[0].fileno()).st_size:
            file = self._taken.pop(0)
            Path(file.name).unlink()
            file.close()
            self._offset = 0
        elif not self._taken and self._own is not None and self._offset >= self._size:
            self._own.truncate(0)
            self._offset = 0

    def close(self) -> None:
        """Close all files, so that another process may take over what waits; an empty file is deleted."""
        for file in self._taken:
            file.close()
        own, self._own = self._own, None
        if own is not None:
            if os.fstat(own.fileno()).st_size == self._offset:
                Path(own.name).unlink()
            own.close()
        self._taken, self._offset, self._is_searched = [], 0, False

    @property
    def _size(self) -> int:
        return 0 if self._own is None else os.fstat(self._own.fileno()).st_size

    def _create(self) -> IO[bytes]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{time.time_ns():020}-{uuid.uuid4().hex}{_SUFFIX}"
        file = open(path, "x+b", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        _try_lock(file)
        return file

    def _search(self) -> None:
        """Take over the files of processes that have ended, oldest first, once."""
        if self._is_searched or fcntl is None:
            return
        self._is_searched = True
        self._taken = list(self._lock_left_over())

    def _lock_left_over(self) -> Iterator[IO[bytes]]:
        paths = self._folder.glob(f"*{_SUFFIX}") if self._folder.is_dir() else ()
        for path in sorted(paths, key=lambda path: path.name):
            try:
                file = path.open("r+b")
            except FileNotFoundError:
                continue  # another process has just delivered it
            if _try_lock(file):
                yield file
            else:
                file.close()


def _try_lock(file: IO[bytes]) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _encode(message: BusMessage) -> bytes:
    fields = [message.topic, message.key.decode(), message.value.decode()]
    return json.dumps([*fields, [[name, value.decode()] for name, value in message.headers]]).encode() + b"\n"


def _decode(line: bytes) -> BusMessage | None:
    try:
        topic, key, value, headers = json.loads(line)
        return BusMessage(topic, key.encode(), value.encode(), [(name, text.encode()) for name, text in headers])
    except (ValueError, TypeError, AttributeError):
        return None
