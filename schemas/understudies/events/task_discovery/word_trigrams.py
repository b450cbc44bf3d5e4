"""Split prompts into words, masked words and trigrams."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from understudies.events.fingerprint import mask_untruncated, masked
from understudies.events.json_values import replace_lone_surrogates

MAX_PROMPT_CHARACTERS: Final = 32_768
"""Characters of a prompt that are read: of a longer one, the first and the last 16,384."""

_MAX_CACHED_CHARACTERS: Final = 8192


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, the masked words, and their trigrams, each at its middle word."""

    written: tuple[str, ...]
    masked: tuple[str, ...]
    runs: tuple[str, ...]


def words_of(text: str) -> Words:
    """Split a text into words."""
    if len(text) > MAX_PROMPT_CHARACTERS:
        text = f"{text[: MAX_PROMPT_CHARACTERS // 2]} {text[-MAX_PROMPT_CHARACTERS // 2 :]}"
    return _split_cached(text) if len(text) <= _MAX_CACHED_CHARACTERS else _split(text, mask_untruncated(text))


def word_trigrams(words: Sequence[str]) -> tuple[str, ...]:
    """Return each word with its two neighbours; the edge of the text stands in for a missing one."""
    padded = ("", *words, "")
    return tuple(map(" ".join, zip(padded, padded[1:], padded[2:], strict=False)))


def _split(text: str, masks: str) -> Words:
    # No mask contains or produces white space, so the words keep their positions.
    written, words = tuple(replace_lone_surrogates(text).split()), tuple(masks.split())
    return Words(written, words, word_trigrams(words))


@lru_cache(maxsize=512)
def _split_cached(text: str) -> Words:
    # Prompts repeat, and naming, the student and its trial each ask for the same one.
    return _split(text, masked(text))
