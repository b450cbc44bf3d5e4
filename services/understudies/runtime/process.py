"""Prepare a long-running process: lock its data directory, and freeze the objects made at start-up."""

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from understudies.runtime.errors import ConfigurationError


@contextmanager
def lock_data_dir(folder: Path, user: str) -> Iterator[None]:
    """Hold a folder for `user` of this machine; the lock ends with the process, however that ends.

    Raises ConfigurationError where the folder cannot be written, or where another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{user}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write in the data folder {str(folder)!r}: {error.strerror}; give another with --data"
        ) from error
    try:
        _lock_file(descriptor, folder, user)
        yield
    finally:
        os.close(descriptor)


def _lock_file(descriptor: int, folder: Path, user: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise ConfigurationError(
            f"the data folder {str(folder)!r} is in use by another `understudies {user}`, process {holder}; "
            "stop that one, or give this one a folder of its own with --data"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


_YOUNG_THRESHOLD: Final = 2_000
_OLD_THRESHOLDS: Final = (20, 50)


def freeze_startup_objects() -> None:
    """Spare what was made until now, code and price lists above all, from searches for garbage, and search less often.

    With Python's own thresholds, calls that wait to be recorded set off a search of everything several times a second,
    each of which stops the process for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_THRESHOLD, *_OLD_THRESHOLDS)
