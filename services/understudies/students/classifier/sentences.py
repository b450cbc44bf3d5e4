"""Compute sentence vectors of texts with pretrained models, without training on the task."""

import importlib
import logging
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from understudies.datasets.errors import ArtifactError
from understudies.students.vectors import Floats, normalize_rows

MAX_TEXT_CHARS = 4_000
"""Characters of a text to use: of a longer one, the first and the last 2,000."""

_STATIC_PACKAGE = "wordllama"
_BATCH = 64


def normalize_text(text: str) -> str:
    """Lower-case a text, collapse white space, truncate to MAX_TEXT_CHARS, and replace what UTF-8 cannot encode."""
    if len(text) > MAX_TEXT_CHARS:
        text = f"{text[: MAX_TEXT_CHARS // 2]} {text[-MAX_TEXT_CHARS // 2 :]}"
    return " ".join(text.encode("utf-8", "replace").decode().lower().split())


def static_vectors(texts: Sequence[str]) -> Floats:
    """Return mean token vectors of normalised texts, shape (texts, 256), length one; zeros for an empty text."""
    if not texts:
        return np.zeros((0, _static_model().embedding.shape[1]), np.float32)
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors: Floats = _static_model().embed([texts[i] for i in order], batch_size=_BATCH)
    unsorted = np.empty_like(vectors)
    unsorted[order] = vectors
    return normalize_rows(unsorted)


@cache
def _static_model() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    package = importlib.import_module(_STATIC_PACKAGE)
    # The package configures the root logger when imported: restore the application's configuration.
    root.handlers[:], root.level = handlers, level
    # The package contains its files, but by default looks for them in the user's cache and downloads missing ones.
    return package.WordLlama.load(cache_dir=_folder(_STATIC_PACKAGE), disable_download=True)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ArtifactError(f"the package {package!r} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))
