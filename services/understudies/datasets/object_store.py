"""Where artifacts and datasets lie: a folder or an object store, by URL."""

from dataclasses import dataclass
from typing import Final

import fsspec

from understudies.datasets.errors import ArtifactError
from understudies.runtime.errors import ConfigurationError, RetryLater

_MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError)
"""What says that there is no such file; whatever else a driver raises says that it could not find out."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Immutable files under a root URL (`file:///var/lib/understudies`, `s3://bucket/prefix`).

    Raises ConfigurationError for a URL of a kind that is unknown or whose driver is not installed.
    """

    root: str

    def __post_init__(self) -> None:
        try:
            fsspec.core.get_filesystem_class(fsspec.core.split_protocol(self.root)[0])
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"artifacts cannot lie at {self.root!r}: {error}; give a folder as file:///PATH, or install the driver "
                "of the object store (s3fs for s3://, gcsfs for gs://)"
            ) from error

    def uri(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def write(self, path: str, content: bytes) -> str:
        """Write a file once and return its URI; a file that is there already is left as it is.

        Raises RetryLater where it cannot be written now, as where the object store is away or the disk is full.
        """
        uri = self.uri(path)
        try:
            _write_once(uri, content)
        except Exception as error:
            raise RetryLater(f"cannot write {uri!r} now: {error!r}") from error
        return uri

    def read(self, uri: str) -> bytes:
        """The content of a file under the root.

        Raises ArtifactError where there is none, and RetryLater where it cannot be read now.
        """
        if not uri.startswith(f"{self.root.rstrip('/')}/") or ".." in uri:
            raise ArtifactError(f"{uri!r} does not lie under the artifact root {self.root!r}")
        try:
            filesystem, name = fsspec.core.url_to_fs(uri)
            content: bytes = filesystem.cat_file(name)
        except _MISSING as error:
            raise ArtifactError(f"cannot read {uri!r}: {error}") from error
        except Exception as error:
            raise RetryLater(f"cannot read {uri!r} now: {error!r}") from error
        return content


def _write_once(uri: str, content: bytes) -> None:
    filesystem, name = fsspec.core.url_to_fs(uri)
    if not filesystem.exists(name):
        filesystem.makedirs(filesystem._parent(name), exist_ok=True)
        part = f"{name}.part"
        with filesystem.open(part, "wb") as file:
            file.write(content)
        filesystem.mv(part, name)
