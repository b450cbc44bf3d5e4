"""Encode each token of a text in its context, with a cache."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from understudies.students.encoder.runtime import ALL_STATES, DIMENSIONS, create_tokenizer, load_session
from understudies.students.vectors import Floats

MAX_ENCODED_CHARS: Final = 2_000
"""Tokens that follow in a longer text have vectors of zeros."""
_MAX_PIECES: Final = 254
"""Word pieces of a text that are encoded together."""
_MAX_CACHED_TOKENS: Final = 60_000
"""Tokens whose vectors are cached, 46 MB."""

Span = tuple[int, int]
"""The place of a token in its text: its first character, and the one after its last."""


@cache
def token_encoder() -> "TokenEncoder":
    """Return the encoder of this process, loaded once and shared by all students.

    Raises ArtifactError if a package is missing, or its weights are not the expected ones.
    """
    return TokenEncoder(create_tokenizer(), load_session())


class TokenEncoder:
    """Frozen transformer over word pieces, with a cache: fits on parts of the same texts ask for them again.

    Vectors are rounded to half precision, whether they are cached or not.
    """

    def __init__(self, tokenizer: Any, session: Any) -> None:
        self._tokenizer = tokenizer
        self._session = session
        self._lock = Lock()
        self._cache: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._cached_tokens = 0

    def vectors(self, text: str, spans: Sequence[Span]) -> Floats:
        """Return the vectors of a text's tokens, in order of their places in it, shape (tokens, 384).

        A text is always cut into the same tokens.
        """
        with self._lock:
            found = self._cache.get(text)
            if found is not None:
                self._cache.move_to_end(text)
        if found is None:
            # Outside of the lock: a training text must not hold up the answer to a call.
            found = self._encode(text, spans).astype(np.float16)
            self._add(text, found)
        return found.astype(np.float32)

    def _add(self, text: str, vectors: NDArray[np.float16]) -> None:
        with self._lock:
            if text not in self._cache:
                self._cached_tokens += len(vectors)
            self._cache[text] = vectors
            while self._cached_tokens > _MAX_CACHED_TOKENS:
                _, oldest = self._cache.popitem(last=False)
                self._cached_tokens -= len(oldest)

    def _encode(self, text: str, spans: Sequence[Span]) -> Floats:
        encoding = self._tokenizer.encode(text[:MAX_ENCODED_CHARS])
        first, *inner, last = encoding.ids
        hidden = [
            self._forward([first, *inner[start : start + _MAX_PIECES], last])[1:-1]
            for start in range(0, len(inner), _MAX_PIECES)
        ]
        states = np.concatenate(hidden) if hidden else np.zeros((0, DIMENSIONS), np.float32)
        return _mean_by_token(spans, states, encoding.offsets[1:-1])

    def _forward(self, ids: Sequence[int]) -> Floats:
        pieces = np.array([ids], np.int64)
        inputs = {"input_ids": pieces, "attention_mask": np.ones_like(pieces), "token_type_ids": np.zeros_like(pieces)}
        # What kind of thing a word names is told by the layers in the middle more than by the last one.
        states: Floats = np.mean([batch[0] for batch in self._session.run(list(ALL_STATES), inputs)], axis=0)
        return states


def _mean_by_token(spans: Sequence[Span], states: Floats, offsets: Sequence[Span]) -> Floats:
    """Return for each token the mean of the pieces that overlap it; zeros without one."""
    vectors = np.zeros((len(spans), DIMENSIONS), np.float32)
    piece = 0
    for index, (start, end) in enumerate(spans):
        while piece < len(offsets) and offsets[piece][1] <= start:
            piece += 1
        stop = piece
        while stop < len(offsets) and offsets[stop][0] < end:
            stop += 1
        if stop > piece:
            vectors[index] = states[piece:stop].mean(axis=0)
    return vectors
