"""Group near copies: texts that are similar once numbers, dates and ids are masked."""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable
from math import ceil
from typing import Annotated, Final
from zlib import crc32

from understudies.events import masked
from understudies.persistence.fields import As
from understudies.persistence.saved_state import ROOT, SavedState

SIMILARITY_THRESHOLD: Final = 0.7
"""Least Jaccard index of the words of two near copies."""

_MOST_WORDS: Final = 120
_MOST_APART: Final = (1 - SIMILARITY_THRESHOLD) / (1 + SIMILARITY_THRESHOLD) + 1e-9
"""Most words that two near copies do not share, as a part of the words of both, with room for rounding."""
_BITMAP_BITS: Final = 256


def _packed(words: Iterable[int]) -> "array[int]":
    """Return checksums in order, in four bytes each: tens of thousands of sets take ten times as much."""
    return array("I", sorted(words))


_PackedWords = Annotated[Collection[int], As(list[int], read=_packed, write=list)]


class NearCopyGroups(SavedState):
    """Groups of near copies, each represented by its first text.

    Two texts with a Jaccard index of 0.7 share one of the rarest words of each, so only those are looked up (prefix
    filtering: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins in data cleaning", ICDE).
    Of those, the words are compared only where bitmaps of both, in which each word sets one of 256 bits, do not differ
    in more bits than near copies in words (Sandes, Teodoro and Melo 2020, "Bitmap filter", Information Systems 88).
    Word frequencies change as texts are added, so a near copy is occasionally missed and gets a group of its own.
    """

    _leaders: Annotated[dict[str, _PackedWords], ROOT]

    def __init__(self) -> None:
        self._leaders = {}
        self._on_restored()

    def _on_restored(self) -> None:
        self._by_word: dict[int, str | dict[str, None]] = {}
        """The groups by each of their rarest words; most words are of one group, whose name takes no dict."""
        self._frequency = Counter[int]()
        self._bitmaps: dict[str, int] = {}
        for name, words in self._leaders.items():
            self._index(name, words)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._leaders)

    def assign(self, words: frozenset[int]) -> str:
        """Return the name of the group of a text, creating a group if it is similar to none."""
        return self._find_similar(words) or self.create(words)

    def create(self, words: frozenset[int]) -> str:
        """Create a group and return its name, which follows from its words."""
        name = f"{crc32(repr(sorted(words)).encode()):08x}-{len(words)}"
        self.remove(name)
        self._leaders[name] = _packed(words)
        self._index(name, words)
        return name

    def _index(self, name: str, words: Collection[int]) -> None:
        self._frequency.update(words)
        self._bitmaps[name] = _bitmap(words)
        for word in self._rarest(words):
            there = self._by_word.setdefault(word, name)
            if isinstance(there, dict):
                there[name] = None
            elif there != name:
                self._by_word[word] = {there: None, name: None}

    def remove(self, name: str) -> None:
        """Remove a group, if it exists."""
        self._bitmaps.pop(name, None)
        for word in self._leaders.pop(name, ()):
            self._frequency[word] -= 1
            if not self._frequency[word]:
                del self._frequency[word]
            there = self._by_word.get(word)
            if there == name:
                del self._by_word[word]
            elif isinstance(there, dict):
                there.pop(name, None)
                if len(there) == 1:
                    self._by_word[word] = next(iter(there))

    def _find_similar(self, words: frozenset[int]) -> str | None:
        tried: set[str] = set()
        bitmap, count = _bitmap(words), len(words)
        for word in self._rarest(words):
            there = self._by_word.get(word, ())
            for name in (there,) if isinstance(there, str) else there:
                if name in tried:
                    continue
                tried.add(name)
                leader = self._leaders[name]
                most_apart = _MOST_APART * (count + len(leader))
                if (bitmap ^ self._bitmaps[name]).bit_count() <= most_apart and _are_alike(words, leader):
                    return name
        return None

    def _rarest(self, words: Collection[int]) -> list[int]:
        """Return as many of the rarest words as are needed for two near copies to share one of them."""
        most = len(words) - ceil(SIMILARITY_THRESHOLD * len(words)) + 1
        return sorted(words, key=lambda word: (self._frequency[word], word))[:most]


def masked_word_hashes(text: str) -> frozenset[int]:
    """Return checksums of the first 120 distinct words of a text, with numbers, dates and ids masked."""
    words = dict.fromkeys(masked(text).split())
    return frozenset(crc32(word.encode("utf-8", "surrogatepass")) for word in list(words)[:_MOST_WORDS])


def _bitmap(words: Iterable[int]) -> int:
    bitmap = 0
    for word in words:
        bitmap |= 1 << word % _BITMAP_BITS
    return bitmap


def _are_alike(one: frozenset[int], other: Collection[int]) -> bool:
    n, m = len(one), len(other)
    if n < SIMILARITY_THRESHOLD * m or m < SIMILARITY_THRESHOLD * n:
        return False
    shared = len(one.intersection(other))
    return shared >= SIMILARITY_THRESHOLD * (n + m - shared)
