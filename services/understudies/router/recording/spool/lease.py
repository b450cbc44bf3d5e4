"""Lease spool folders: each process has its own, and takes over those of ended processes."""

import fcntl
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

_FOLDER_PREFIX: Final = "worker-"


class SpoolLease:
    """Folders held by this process; the locks end with it, however it ends."""

    def __init__(self, own: Path, orphans: Sequence[Path], locks: Sequence[int]) -> None:
        self.own = own
        self.orphans = orphans
        """Folders of processes that ended before they had delivered everything, oldest name first."""
        self._locks = list(locks)

    @classmethod
    def acquire(cls, root: Path) -> "SpoolLease":
        """Lease the first free folder, and every other free folder that still holds messages.

        Raises OSError if the root cannot be written.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        own, locks, orphans = None, [], []
        try:
            for folder in _folders(root):
                lock = _try_lock(folder)
                if lock is None:
                    continue
                locks.append(lock)
                if own is None:
                    own = folder
                elif any(folder.glob("*.spool")):
                    orphans.append(folder)
            if own is None:
                own, lock = _create_folder(root)
                locks.append(lock)
        except OSError:
            for lock in locks:
                os.close(lock)
            raise
        return cls(own, orphans, locks)

    def release(self) -> None:
        """Release the folders for other processes."""
        locks, self._locks = self._locks, []
        for lock in locks:
            os.close(lock)


def _folders(root: Path) -> list[Path]:
    named = [path for path in root.iterdir() if path.name.removeprefix(_FOLDER_PREFIX).isdecimal() and path.is_dir()]
    return sorted(named, key=lambda path: int(path.name.removeprefix(_FOLDER_PREFIX)))


def _create_folder(root: Path) -> tuple[Path, int]:
    for number in count(1):
        folder = root / f"{_FOLDER_PREFIX}{number}"
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = _try_lock(folder)
        if lock is not None:
            return folder, lock
    raise AssertionError("unreachable: count() is infinite")


def _try_lock(folder: Path) -> int | None:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
