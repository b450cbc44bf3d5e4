"""Prompts word by word: as they are written, as they are masked, and in runs of three."""

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
    """The words of a text, the same words masked, and of these the runs of three, each at its middle."""

    written: tuple[str, ...]
    masked: tuple[str, ...]
    runs: tuple[str, ...]


def words_of(text: str) -> Words:
    """A text word by word."""
    if len(text) > MAX_PROMPT_CHARACTERS:
        text = f"{text[: MAX_PROMPT_CHARACTERS // 2]} {text[-MAX_PROMPT_CHARACTERS // 2 :]}"
    return _split_cached(text) if len(text) <= _MAX_CACHED_CHARACTERS else _split(text, mask_untruncated(text))


def word_trigrams(words: Sequence[str]) -> tuple[str, ...]:
    """Each word with its two neighbours; what has none has the edge of the text for one."""
    edged = ("", *words, "")
    return tuple(map(" ".join, zip(edged, edged[1:], edged[2:], strict=False)))


def _split(text: str, masks: str) -> Words:
    # No mask takes in white space or leaves any, so words stay in their places.
    written, words = tuple(replace_lone_surrogates(text).split()), tuple(masks.split())
    return Words(written, words, word_trigrams(words))


@lru_cache(maxsize=512)
def _split_cached(text: str) -> Words:
    # Prompts repeat, and each is asked for by naming, by the student and by its trial.
    return _split(text, masked(text))
