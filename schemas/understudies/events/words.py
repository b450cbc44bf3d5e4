"""Prompts word by word: as they are written, as they are masked, and in runs of three."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from understudies.events.fingerprint import mask, masked
from understudies.events.json_values import well_formed

LONGEST: Final = 32_768
"""Characters of a prompt that are read: of a longer one, the first and the last 16,384."""

_REMEMBERED: Final = 8192


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, the same words masked, and of these the runs of three, each at its middle."""

    written: tuple[str, ...]
    masked: tuple[str, ...]
    runs: tuple[str, ...]


def words_of(text: str) -> Words:
    """A text word by word."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} {text[-LONGEST // 2 :]}"
    return _remembered(text) if len(text) <= _REMEMBERED else _words(text, mask(text))


def runs_of(words: Sequence[str]) -> tuple[str, ...]:
    """Each word with its two neighbours; what has none has the edge of the text for one."""
    edged = ("", *words, "")
    return tuple(map(" ".join, zip(edged, edged[1:], edged[2:], strict=False)))


def _words(text: str, masks: str) -> Words:
    # No mask takes in white space or leaves any, so words stay in their places.
    written, words = tuple(well_formed(text).split()), tuple(masks.split())
    return Words(written, words, runs_of(words))


@lru_cache(maxsize=512)
def _remembered(text: str) -> Words:
    # Prompts repeat, and each is asked for by naming, by the student and by its trial.
    return _words(text, masked(text))
