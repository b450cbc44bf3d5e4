"""Where artifacts and datasets lie: a folder or an object store, by URL."""

from dataclasses import dataclass

import fsspec

from understudies.runtime import ConfigurationError
from understudies.students.base import ArtifactError


@dataclass(frozen=True, slots=True)
class Files:
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
        """Write a file once and return its URI; a file that is there already is left as it is."""
        uri = self.uri(path)
        filesystem, name = fsspec.core.url_to_fs(uri)
        if not filesystem.exists(name):
            filesystem.makedirs(filesystem._parent(name), exist_ok=True)
            part = f"{name}.part"
            with filesystem.open(part, "wb") as file:
                file.write(content)
            filesystem.mv(part, name)
        return uri

    def read(self, uri: str) -> bytes:
        """The content of a file under the root; raises ArtifactError where it cannot be read."""
        if not uri.startswith(f"{self.root.rstrip('/')}/") or ".." in uri:
            raise ArtifactError(f"{uri!r} does not lie under the artifact root {self.root!r}")
        try:
            filesystem, name = fsspec.core.url_to_fs(uri)
            content: bytes = filesystem.cat_file(name)
        except (OSError, ValueError) as error:
            raise ArtifactError(f"cannot read {uri!r}: {error}") from error
        return content
