"""Stage what changes in a data folder, as of one moment, so that it can be copied while a process goes on."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from understudies.runtime.errors import RetryLater
from understudies.runtime.store import Store

STAGING: Final = "backup.staging"
"""Folder below the data folder that holds what is staged."""
_SHADOW: Final = "backup"
_SNAPSHOTS: Final = "*.json"
_SPOOLED: Final = "worker-*/*.spool"


async def stage_backup(data: Path, store: Store | None, wait_stored: Callable[[], Awaitable[None]]) -> Path:
    """Stage snapshots, spool and store of a running process, by links to the files that are there; return the folder.

    The snapshots come first, and the store once it has all that they cover: what it has beyond them, a start on the
    restored folder folds again. Without a store, it is elsewhere. Raises RetryLater if the disk is full.
    """
    staging = data / STAGING
    try:
        await asyncio.to_thread(_begin, data, staging)
        await wait_stored()
        if store is not None:
            await store.freeze(_SHADOW)
            await asyncio.to_thread(_take_store, data / "store", staging / "store")
    except OSError as error:
        raise RetryLater(f"cannot prepare the backup in {str(staging)!r}: {error.strerror or error}") from error
    return staging


def discard_staging(data: Path) -> None:
    """Remove what was staged, also by a process that was killed meanwhile."""
    for left in (data / STAGING, data / "store" / "shadow" / _SHADOW):
        shutil.rmtree(left, ignore_errors=True)


def _begin(data: Path, staging: Path) -> None:
    discard_staging(data)
    staging.mkdir(parents=True)
    for folder, pattern in (("snapshots", _SNAPSHOTS), ("spool", _SPOOLED)):
        for file in sorted((data / folder).glob(pattern)):
            _copy(file, staging / file.relative_to(data), links=folder == "snapshots")


def _copy(file: Path, copy: Path, *, links: bool) -> None:
    """Link a file that is only ever replaced, copy one that grows; one that is gone meanwhile was delivered."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if links:
            os.link(file, copy)
        else:
            shutil.copyfile(file, copy)


def _take_store(store: Path, staged: Path) -> None:
    """Make a store of the frozen parts of its tables, which they keep below their own path, and of its metadata."""
    staged.mkdir(parents=True)
    (store / "shadow" / _SHADOW / "store").rename(staged / "store")
    for folder in ("metadata", "data"):
        shutil.copytree(store / folder, staged / folder, symlinks=True)
    for table in sorted((store / "store").glob("*/*")):
        copy = staged / "store" / table.relative_to(store / "store")
        copy.mkdir(parents=True, exist_ok=True)
        for file in (*table.glob("*.sql"), *table.glob("format_version.txt")):
            shutil.copyfile(file, copy / file.name)
        if (table / "detached").is_dir():
            (copy / "detached").mkdir(exist_ok=True)
    shutil.rmtree(store / "shadow" / _SHADOW, ignore_errors=True)
