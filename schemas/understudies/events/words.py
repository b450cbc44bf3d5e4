"""Prompts word by word: as they are written, as they are masked, and in runs of three."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from understudies.events.fingerprint import mask
from understudies.events.json_values import well_formed

LONGEST: Final = 32_768
"""Characters of a prompt that are read: of a longer one, the first and the last 16,384."""

_REMEMBERED: Final = 8192


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, and the same words masked.

    `runs[i]` is the i-th masked word with its two neighbours; what has none has the edge of the text for one.
    """

    written: tuple[str, ...]
    masked: tuple[str, ...]
    runs: tuple[str, ...]


def words_of(text: str) -> Words:
    """A text word by word."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} {text[-LONGEST // 2 :]}"
    return _remembered(text) if len(text) <= _REMEMBERED else _words(text)


def _words(text: str) -> Words:
    text = well_formed(text)
    # No mask takes in white space or leaves any, so words stay in their places.
    written, masked = tuple(text.split()), tuple(mask(text).split())
    edged = ("", *masked, "")
    return Words(written, masked, tuple(map(" ".join, zip(edged, edged[1:], edged[2:], strict=False))))


_remembered = lru_cache(maxsize=512)(_words)
"""Prompts repeat, and each is asked for by naming, by the student and by its trial."""
