"""Prepare a long-running process: lock its data directory, and freeze the objects made at start-up."""

import asyncio
import contextlib
import fcntl
import gc
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from understudies.runtime.errors import ConfigurationError

_LOCK_RETRY_S: Final = 0.05


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
    folder: Path, user: str, waiting: Callable[[str], None], given_up: asyncio.Event
) -> AsyncIterator[bool]:
    """Lock a folder as `lock_data_dir` does once its holder lets go; false if `given_up` was set before that.

    `waiting` is told once which process holds it.
    """
    descriptor = _open_lock(folder, user)
    try:
        told = False
        while not (locked := _try_lock(descriptor, fcntl.LOCK_EX)) and not given_up.is_set():
            if not told:
                waiting(_read_holder(descriptor))
            told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(given_up.wait(), _LOCK_RETRY_S)
        if locked:
            _write_holder(descriptor)
        yield locked
    finally:
        os.close(descriptor)


def _open_lock(folder: Path, user: str) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / f"{user}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the data folder {str(folder)!r}: {error.strerror}; choose another with --data"
        ) from error


def is_locked(folder: Path, user: str) -> bool:
    """Return whether a process that runs the command `user` holds the lock of a folder."""
    try:
        descriptor = os.open(folder / f"{user}.lock", os.O_RDONLY | os.O_CLOEXEC)
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
    while not _try_lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            raise ConfigurationError(
                f"the data folder {str(folder)!r} is in use by another `understudies {user}`, process "
                f"{_read_holder(descriptor)}; stop that process, or choose another folder for this one with --data"
            )
        time.sleep(_LOCK_RETRY_S)
    if not shared:
        _write_holder(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read_holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"


def _write_holder(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


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
