"""Part training texts by their layout: the words around the values."""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes
from understudies.events import position
from understudies.students.extractor.alignment import AlignedText
from understudies.students.extractor.tokens import mask_digits

_MOST_WORDS: Final = 120
_LEAST_HALF: Final = 0.2


def known_layouts(texts: Sequence[str], aligned: Sequence[AlignedText | None], seed: int) -> list[bool]:
    """Part texts into halves none of which has a layout of the other; returns which are in the first.

    Texts of one layout have most words outside of their values in common; those of one line, most of all words. Many
    layouts are parted at random, few by their sizes: then the first half is the larger, and has all if there is one.
    """
    groups = NearCopyGroups()
    names = [groups.assign(_outer_words(*one)) for one in zip(texts, aligned, strict=True)]
    first = {name: position(name, str(seed)) < 0.5 for name in names}
    share = sum(first[name] for name in names) / len(names)
    if not _LEAST_HALF <= share <= 1 - _LEAST_HALF:
        first = _part_by_size(Counter(names))
    return [first[name] for name in names]


def _part_by_size(sizes: Counter[str]) -> dict[str, bool]:
    """Part groups into halves: the largest first, each to the half with fewer texts."""
    halves: dict[str, bool] = {}
    texts = {True: 0, False: 0}
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        halves[name] = texts[True] <= texts[False]
        texts[halves[name]] += size
    larger = texts[True] >= texts[False]
    return {name: half == larger for name, half in halves.items()}


def _outer_words(text: str, aligned: AlignedText | None) -> frozenset[int]:
    """Return checksums of the first words outside of values; of all words in a text of one line, or without values."""
    if aligned is None or "\n" not in text.strip():
        return masked_word_hashes(text)
    outer = dict.fromkeys(
        mask_digits(token.text) for token, tag in zip(aligned.tokens, aligned.tags, strict=True) if tag == "O"
    )
    return frozenset(crc32(word.encode()) for word in list(outer)[:_MOST_WORDS])
