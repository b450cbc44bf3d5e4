"""Prepare a long-running process: lock its data directory, and freeze the objects made at start-up."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from understudies.runtime.errors import ConfigurationError, StopService

_LOCK_RETRY_S: Final = 0.05
_TELL_AGAIN_S: Final = 60.0
_MAX_HOLDER_BYTES: Final = 512


class DataLock:
    """A lock that this process has taken, with a mark of its own in the lock's file.

    A file system of several machines may forget the lock of one that was cut off or stopped for a while, and give it to
    another, of which the first is told nothing; the mark is that of the other then.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self._path = path
        self._mark = mark

    def require_held(self) -> None:
        """Raise StopService if another process has taken the lock since."""
        try:
            found = self._path.read_text("ascii", "replace")
            why = f"process {_first_line(found)} has it now"
        except OSError as error:
            found, why = None, f"its file cannot be read ({error.strerror})"
        if found != self._mark:
            raise StopService(
                f"the lock {str(self._path)!r} was lost, and {why}: start this process again, and it goes on with what "
                "the other leaves to it. A file system forgets the locks of a machine that was cut off from it for a "
                "while; if this comes again, it keeps none between machines: mount it with them, as NFS 4 without "
                "nolock and local_lock"
            )


@contextmanager
def lock_data_dir(folder: Path, user: str, *, patience_s: float = 0.0, shared: bool = False) -> Iterator[None]:
    """Lock a folder for the command `user`; the lock ends with the process, however the process ends.

    Wait up to `patience_s` for a process that holds it for a moment, as one that reads a folder does. Processes that
    ask for a `shared` lock hold it together, and keep out those that want it alone.
    Raises ConfigurationError if the folder cannot be written or another process holds it.
    """
    descriptor = _open_lock(folder, user)
    try:
        _lock_file(descriptor, folder, user, time.monotonic() + patience_s, shared=shared)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def wait_lock(
    folder: Path, user: str, waiting: Callable[[str, float], None], given_up: asyncio.Event
) -> AsyncIterator[DataLock | None]:
    """Lock a folder as `lock_data_dir` does once its holder lets go; None if `given_up` was set before that.

    `waiting` is told at once, and then each minute, which process holds it, and for how many seconds it was waited for.
    """
    descriptor = _open_lock(folder, user)
    try:
        began = tell_at = time.monotonic()
        while not (locked := _try_lock(descriptor, fcntl.LOCK_EX, folder)) and not given_up.is_set():
            if (now := time.monotonic()) >= tell_at:
                waiting(_read_holder(descriptor), now - began)
                tell_at = now + _TELL_AGAIN_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(given_up.wait(), _LOCK_RETRY_S)
        if not locked:
            yield None
            return
        mark = f"{os.getpid()} on {socket.gethostname()}\n{uuid.uuid4().hex}\n"
        yield DataLock(_lock_path(folder, user), _write_holder(descriptor, mark))
    finally:
        os.close(descriptor)


def _lock_path(folder: Path, user: str) -> Path:
    return folder / f"{user}.lock"


def _open_lock(folder: Path, user: str) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(_lock_path(folder, user), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the data folder {str(folder)!r}: {error.strerror}; choose another with --data"
        ) from error


def is_locked(folder: Path, user: str) -> bool:
    """Return whether a process that runs the command `user` holds the lock of a folder."""
    try:
        descriptor = os.open(_lock_path(folder, user), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def load_instance_id(folder: Path, user: str) -> str:
    """Return the name of the one process that runs the command `user` on a folder, the same after each restart."""
    path = folder / f"{user}.instance"
    try:
        return path.read_text().strip() or _write_instance_id(path, user)
    except FileNotFoundError:
        return _write_instance_id(path, user)


def _write_instance_id(path: Path, user: str) -> str:
    name = f"{user}-{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):
        # A full disk costs a restart after a kill ten seconds, no more.
        path.write_text(f"{name}\n")
    return name


def _lock_file(descriptor: int, folder: Path, user: str, deadline: float, *, shared: bool) -> None:
    while not _try_lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, folder):
        if time.monotonic() >= deadline:
            raise ConfigurationError(
                f"the data folder {str(folder)!r} is in use by another `understudies {user}`, process "
                f"{_read_holder(descriptor)}; stop that process, or choose another folder for this one with --data"
            )
        time.sleep(_LOCK_RETRY_S)
    if not shared:
        _write_holder(descriptor, f"{os.getpid()}\n")


def _try_lock(descriptor: int, kind: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise ConfigurationError(
            f"the file system of the data folder {str(folder)!r} cannot lock files ({error.strerror}): choose another "
            "with --data, on a disk of this machine or on one that several machines can lock, such as NFS 4"
        ) from error
    return True


def _read_holder(descriptor: int) -> str:
    return _first_line(os.pread(descriptor, _MAX_HOLDER_BYTES, 0).decode("ascii", "replace"))


def _first_line(holder: str) -> str:
    return holder.partition("\n")[0].strip() or "unknown"


def _write_holder(descriptor: int, holder: str) -> str:
    """Write who holds a lock; return what its file has then, which is nothing if the disk is full."""
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, holder.encode("ascii", "replace"), 0)
        os.fsync(descriptor)
    except OSError:
        return ""
    return holder


_YOUNG_THRESHOLD: Final = 2_000
_OLD_THRESHOLDS: Final = (20, 50)


def freeze_startup_objects() -> None:
    """Exclude all objects made so far, chiefly code and price lists, from garbage collection, and collect less often.

    With Python's default thresholds, calls that wait to be recorded trigger a full collection several times a second,
    each of which stops the process for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_THRESHOLD, *_OLD_THRESHOLDS)
