"""Write a data folder into one file, and read it back whole or not at all."""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from understudies.runtime.errors import ConfigurationError

MANIFEST: Final = "MANIFEST.json"
FOLDERS: Final = ("snapshots", "spool", "store", "artifacts")
"""What of a data folder is backed up, the files that others refer to last."""
_TRANSIENT: Final = frozenset({"lock", "status"})
_TRANSIENT_SUFFIXES: Final = frozenset({".part", ".corrupt"})
_TRANSIENT_FOLDERS: Final = frozenset({"shadow", "tmp"})
_CHUNK: Final = 1024 * 1024


class Manifest(BaseModel):
    """The last member of a backup: what it holds, so that a file that was cut off is known as such."""

    model_config = ConfigDict(frozen=True)

    version: str
    at: datetime
    has_store: bool
    sha256: dict[str, str]
    """The files of the backup with their digests, by path."""


class _HashingFile(io.RawIOBase):
    """A file that is read once, with the digest of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def write_archive(
    target: Path, data: Path, staging: Path | None, version: str, on_file: Callable[[int, int], None]
) -> Manifest:
    """Write a backup of a data folder, whose changing parts are those in `staging` if it is in use.

    `on_file` is told the files and bytes so far. The backup has its name only once it is whole: a process that is
    killed leaves a file with `.part` at the end of its name. Raises OSError.
    """
    part = target.with_name(f"{target.name}.part")
    digests: dict[str, str] = {}
    size = 0
    with part.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, name in _members(data, staging):
                if path.is_symlink() or path.is_dir():
                    archive.add(path, name, recursive=False)
                    continue
                digests[name], written = _add_file(archive, path, name)
                size += written
                on_file(len(digests), size)
            manifest = Manifest(
                version=version,
                at=datetime.now(UTC),
                has_store=any(name.startswith("store/") for name in digests),
                sha256=digests,
            )
            _add_bytes(archive, MANIFEST, manifest.model_dump_json().encode())
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    return manifest


def _members(data: Path, staging: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield the files, folders and links to back up, each with its path in the backup."""
    for folder in FOLDERS:
        root = data if staging is None or folder == "artifacts" else staging
        if (root / folder).is_dir():
            yield root / folder, folder
            for path in sorted((root / folder).rglob("*")):
                within = path.relative_to(root)
                if not _is_transient(within):
                    yield path, str(within)


def _is_transient(path: Path) -> bool:
    in_transient_folder = path.parts[0] == "store" and len(path.parts) > 1 and path.parts[1] in _TRANSIENT_FOLDERS
    return in_transient_folder or path.name in _TRANSIENT or path.suffix in _TRANSIENT_SUFFIXES


def _add_file(archive: tarfile.TarFile, path: Path, name: str) -> tuple[str, int]:
    """Add a file; returns its digest and size."""
    with path.open("rb") as file:
        member = archive.gettarinfo(arcname=name, fileobj=file)
        # Links between files of the folder are of no use in another one.
        member.type, member.linkname = tarfile.REGTYPE, ""
        member.size = os.fstat(file.fileno()).st_size
        reader = _HashingFile(file)
        archive.addfile(member, reader)
    return reader.digest.hexdigest(), member.size


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o600
    archive.addfile(member, io.BytesIO(content))


def read_archive(source: Path, target: Path, on_file: Callable[[int, int], None]) -> Manifest:
    """Restore a backup as a data folder, which must not exist or be empty.

    The folder has its name only once all files were read and have the digests of the manifest. Raises
    ConfigurationError for a file that is no whole backup, and for a folder that holds something.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(f"{str(target)!r} holds something: restore into a folder that is empty or new")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True, mode=0o700)
        with tarfile.open(source, "r:") as archive:
            archive.extractall(part, filter="data")
        manifest = Manifest.model_validate_json((part / MANIFEST).read_bytes())
        _verify(part, manifest, on_file)
    except (tarfile.TarError, FileNotFoundError, ValidationError, EOFError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigurationError(
            f"{str(source)!r} is no whole backup: {_describe(error)}; take one with `understudies backup`"
        ) from error
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigurationError(f"cannot restore {str(source)!r}: {error.strerror or error}") from error
    (part / MANIFEST).unlink()
    if target.exists():
        target.rmdir()
    part.replace(target)
    return manifest


def _describe(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(str(error.filename)).name!r} is missing"
    return "its manifest does not fit" if isinstance(error, ValidationError) else str(error)


def _verify(folder: Path, manifest: Manifest, on_file: Callable[[int, int], None]) -> None:
    size = 0
    for number, (name, digest) in enumerate(manifest.sha256.items(), 1):
        found = hashlib.sha256()
        with (folder / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                size += len(chunk)
        if found.hexdigest() != digest:
            raise tarfile.TarError(f"{name!r} is not what was backed up")
        on_file(number, size)
