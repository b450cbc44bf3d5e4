"""Store artifacts and datasets in a folder or an object store, by URL."""

import re
from dataclasses import dataclass
from typing import Final

import fsspec

from understudies.datasets.errors import ArtifactError
from understudies.runtime.errors import ConfigurationError, RetryLater

_MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError)
"""Errors for a missing file; any other error of a driver means that it could not find out."""
_CONTENT_ADDRESS: Final = re.compile(r"(?<=/)(?:datasets/[0-9a-f]{64}\.jsonl|artifacts/[0-9a-f]{64}(?:/.+)?)$")
"""The end of a URI that names a file by its content, so that it is the same file under any root."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Store of immutable files under a root URL (`file:///var/lib/understudies`, `s3://bucket/prefix`).

    Files are referred to by their path below the root, so that a root may be moved or copied. A URI of an earlier
    version, which names the root as it was then, refers to the file of the same content under this root.

    Raises ConfigurationError for a URL whose scheme is unknown or whose driver is not installed.
    """

    root: str

    def __post_init__(self) -> None:
        try:
            fsspec.core.get_filesystem_class(fsspec.core.split_protocol(self.root)[0])
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"cannot store artifacts at {self.root!r}: {error}; give a folder as file:///PATH, or install the "
                "driver of the object store (s3fs for s3://, gcsfs for gs://)"
            ) from error

    def write(self, path: str, content: bytes) -> str:
        """Write a file once and return its path, the reference to it; an existing file is left unchanged.

        Raises RetryLater if it cannot be written now, because the object store is unavailable or the disk is full.
        """
        uri = self._uri(path)
        try:
            _write_once(uri, content)
        except Exception as error:
            raise RetryLater(f"cannot write {uri!r} now: {error!r}") from error
        return path

    def read(self, reference: str) -> bytes:
        """Return the content of a file under the root.

        Raises ArtifactError if there is none, and RetryLater if it cannot be read now.
        """
        uri = self._resolve(reference)
        try:
            filesystem, name = fsspec.core.url_to_fs(uri)
            content: bytes = filesystem.cat_file(name)
        except _MISSING as error:
            raise ArtifactError(f"cannot read {uri!r}: {error}") from error
        except Exception as error:
            raise RetryLater(f"cannot read {uri!r} now: {error!r}") from error
        return content

    def exists(self, reference: str) -> bool:
        """Return whether there is a file or a folder; raises RetryLater if that cannot be told now."""
        uri = self._resolve(reference)
        try:
            filesystem, name = fsspec.core.url_to_fs(uri)
            return bool(filesystem.exists(name))
        except Exception as error:
            raise RetryLater(f"cannot look for {uri!r} now: {error!r}") from error

    def names(self, folder: str) -> list[str]:
        """Return the names of the files and folders in a folder, sorted; none if there is no such folder.

        Raises RetryLater if they cannot be told now.
        """
        uri = self._resolve(folder)
        try:
            filesystem, name = fsspec.core.url_to_fs(uri)
            return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in filesystem.ls(name, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:
            raise RetryLater(f"cannot list {uri!r} now: {error!r}") from error

    def delete(self, reference: str) -> None:
        """Remove a file, or a folder with all in it; does nothing if there is none.

        Raises RetryLater if it cannot be removed now.
        """
        uri = self._resolve(reference)
        try:
            filesystem, name = fsspec.core.url_to_fs(uri)
            filesystem.rm(name, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise RetryLater(f"cannot remove {uri!r} now: {error!r}") from error

    def _uri(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def _resolve(self, reference: str) -> str:
        """Return the URI of a reference under the root; raises ArtifactError if it refers to a file elsewhere."""
        if ".." in reference:
            raise ArtifactError(f"{reference!r} is not under the artifact root {self.root!r}")
        if "://" not in reference and not reference.startswith("/"):
            return self._uri(reference)
        if reference.startswith(self._uri("")):
            return reference
        address = _CONTENT_ADDRESS.search(reference)
        if address is None:
            raise ArtifactError(f"{reference!r} is not under the artifact root {self.root!r}")
        return self._uri(address[0])


def _write_once(uri: str, content: bytes) -> None:
    filesystem, name = fsspec.core.url_to_fs(uri)
    if not filesystem.exists(name):
        filesystem.makedirs(filesystem._parent(name), exist_ok=True)
        part = f"{name}.part"
        with filesystem.open(part, "wb") as file:
            file.write(content)
        filesystem.mv(part, name)
