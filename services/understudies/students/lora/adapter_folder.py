"""Share adapters with vLLM servers through a folder of content-addressed adapters."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from understudies.datasets.errors import ArtifactError
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE
from understudies.students.lora.engine import ServedAdapter

PREFIX: Final = "understudies-"
"""Begins the names of folders, and of adapters at a server, which may serve others too."""
_PARTIAL: Final = f".{PREFIX}"
_UNUSED_S: Final = 86_400.0
"""Time after its last use until a folder is removed; much longer than any call."""
_FILES: Final = (CONFIG_FILE, WEIGHTS_FILE)


class AdapterFolder:
    """Folder of adapters, which servers see at `mount`, by default the same path.

    A server reads an adapter again whenever it has dropped it from memory, and ends if the files are gone. A folder is
    therefore removed only long after its last use, and never while a server lists it.
    """

    def __init__(self, folder: Path, mount: str | None = None) -> None:
        self._folder = folder
        self._mount = PurePosixPath(mount or folder.absolute().as_posix())

    def location(self, adapter: ServedAdapter) -> str:
        """Return the path of an adapter as servers see it."""
        return str(self._mount / f"{PREFIX}{adapter.name}")

    def write(self, adapter: ServedAdapter) -> None:
        """Write those files of an adapter that are not there already, byte for byte.

        Raises ArtifactError if its path leads outside the folder or holds other files, and OSError if it cannot be
        written.
        """
        target = self._folder / f"{PREFIX}{adapter.name}"
        target.mkdir(parents=True, exist_ok=True)
        if target.resolve() != self._folder.resolve() / target.name:
            raise ArtifactError(f"{str(target)!r} leads outside the folder of adapters; remove that link")
        if strange := sorted({path.name for path in target.iterdir()} - set(_FILES)):
            raise ArtifactError(f"{str(target)!r} holds files that are not the adapter's, {strange}; remove them")
        for name in _FILES:
            if not _holds(target / name, adapter.files[name]):
                self._write_file(target / name, adapter.files[name])
        # The time of its last use.
        os.utime(target)

    def sweep(self, listed: Collection[str]) -> None:
        """Remove folders unused for a day, except those `listed` by a server, by name."""
        oldest = time.time() - _UNUSED_S
        for path in self._folder.glob(f"{PREFIX}*"):
            # Another process may remove it at the same time.
            with suppress(OSError):
                if path.name not in listed and not path.is_symlink() and path.stat().st_mtime < oldest:
                    shutil.rmtree(path)

    def _write_file(self, path: Path, data: bytes) -> None:
        """Put a file in its place whole, whatever happens meanwhile."""
        descriptor, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            # Servers may run as another user.
            Path(partial).chmod(0o644)
            Path(partial).replace(path)
        finally:
            Path(partial).unlink(missing_ok=True)


def _holds(path: Path, data: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(data).digest()
    except FileNotFoundError:
        return False
