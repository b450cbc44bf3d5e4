"""Encode sentences as vectors, with a cache."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from understudies.students.encoder.runtime import DIMENSIONS, LAST_STATES, create_tokenizer, load_session
from understudies.students.vectors import Floats, normalize_rows

_MAX_TOKENS: Final = 128
"""Tokens of a text that are read, as in the model's training."""
_SPECIAL_TOKENS: Final = 2
_MAX_CACHED: Final = 50_000
_BATCH: Final = 16
"""Texts of similar length read at once; larger batches leave the processor's cache and take longer."""


@cache
def sentence_encoder() -> "SentenceEncoder":
    """Return the encoder of this process, loaded once and shared by all students.

    Raises ArtifactError if a package is missing, or its weights are not the expected ones.
    """
    return SentenceEncoder(create_tokenizer(_MAX_TOKENS), load_session())


class SentenceEncoder:
    """Frozen transformer with mean pooling, and a cache of the vectors of texts.

    The weights are bytes, the arithmetic is in single precision: the vector of a text depends neither on the texts
    beside it nor on the number of threads. Vectors are rounded to half precision, whether they are cached or not.

    Wang et al. (2020), "MiniLM: deep self-attention distillation", NeurIPS; Reimers and Gurevych (2019),
    "Sentence-BERT", EMNLP, for the pooling.
    """

    def __init__(self, tokenizer: Any, session: Any) -> None:
        self._tokenizer = tokenizer
        self._session = session
        self._lock = Lock()
        self._cache: OrderedDict[bytes, NDArray[np.float16]] = OrderedDict()

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, shape (texts, 384), length one."""
        keys = [_key(text) for text in texts]
        found: dict[bytes, NDArray[np.float16]] = {}
        with self._lock:
            for key in keys:
                if key in self._cache:
                    self._cache.move_to_end(key)
                    found[key] = self._cache[key]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        # Outside of the lock: thousands of training texts must not hold up the answer to a call.
        computed = self._encode(missing)
        with self._lock:
            self._cache |= computed
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
        found |= computed
        vectors = np.array([found[key] for key in keys], np.float32).reshape(len(keys), DIMENSIONS)
        return normalize_rows(vectors)

    def count_parts(self, text: str) -> int:
        """Return the number of parts that a text has to be read in, none longer than what is read of a text."""
        return max(1, -(-len(self._spans(text)) // (_MAX_TOKENS - _SPECIAL_TOKENS)))

    def split(self, text: str, parts: int) -> list[str]:
        """Return a text in parts of nearly the same number of tokens; some are empty if it has fewer tokens."""
        if parts == 1:
            return [text]
        spans = self._spans(text)
        bounds = [len(spans) * part // parts for part in range(parts + 1)]
        return [text[spans[begin][0] : spans[end - 1][1]] if begin < end else "" for begin, end in pairwise(bounds)]

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each token of a text begins and ends."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [span for one in (encoding, *encoding.overflowing) for span in one.offsets]

    def is_cached(self, text: str) -> bool:
        """Return whether the vector of a text is cached."""
        return _key(text) in self._cache

    def _encode(self, texts: dict[bytes, str]) -> dict[bytes, NDArray[np.float16]]:
        encodings = self._tokenizer.encode_batch(list(texts.values()))
        rows = sorted(zip((encoding.ids for encoding in encodings), texts, strict=True), key=lambda row: len(row[0]))
        computed: dict[bytes, NDArray[np.float16]] = {}
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            vectors = self._forward([ids for ids, _ in batch])
            computed |= zip((key for _, key in batch), vectors.astype(np.float16), strict=True)
        return computed

    def _forward(self, rows: Sequence[Sequence[int]]) -> Floats:
        shape = len(rows), max(map(len, rows))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape, np.int64)}
        [hidden] = self._session.run([LAST_STATES], inputs)
        weights = mask[..., None].astype(np.float32)
        return normalize_rows((hidden * weights).sum(1) / weights.sum(1))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
