"""Pack and unpack a classifier's files: JSON for text, NumPy arrays without pickle for numbers."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudies.datasets.errors import ArtifactError

JSON_FILE = "classifier.json"
ARRAYS_FILE = "classifier.npz"
FILE_NAMES = (JSON_FILE, ARRAYS_FILE)

Arrays = dict[str, NDArray[Any]]


def pack(words: Mapping[str, Any], numbers: Arrays) -> dict[str, bytes]:
    """Return the two files; equal content gives equal bytes."""
    # Every entry has the archive format's earliest date, so the bytes depend only on the numbers.
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **numbers)
    text = json.dumps(words, ensure_ascii=False, sort_keys=True)
    return {JSON_FILE: text.encode("utf-8", "surrogatepass"), ARRAYS_FILE: stream.getvalue()}


def digest(content: Mapping[str, bytes]) -> bytes:
    """Return a digest of the two files, also where one is missing."""
    digests = [hashlib.blake2b(content.get(name, b"")).digest() for name in FILE_NAMES]
    return hashlib.blake2b(b"".join(digests)).digest()


def unpack(content: Mapping[str, bytes]) -> tuple[dict[str, Any], Arrays]:
    """Return the text and numbers of the two files; raises ArtifactError if they cannot be read."""
    try:
        words = json.loads(content[JSON_FILE].decode("utf-8", "surrogatepass"))
        with np.load(io.BytesIO(content[ARRAYS_FILE]), allow_pickle=False) as archive:
            numbers = {name: archive[name] for name in archive.files}
    except KeyError as error:
        raise ArtifactError(f"the classifier's file {error.args[0]!r} is missing; train it again") from error
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"the classifier's files are damaged: {error}; train it again") from error
    if not isinstance(words, dict):
        raise ArtifactError(f"{JSON_FILE} does not contain a classifier; train it again")
    return words, numbers
