"""Find the names of countries, states and provinces, as a few hundred examples name only some of them."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from understudies.students.extractor.tokens import tokenize

_FILE: Final = Path(__file__).with_name("gazetteer.txt")
_CODE: Final = "-code"
"""Ending of the kinds that are written in capitals: `or` is a word, `OR` a state."""


class Place(NamedTuple):
    """A name in a text: its kinds, its first token, and one after the last."""

    kinds: tuple[str, ...]
    first: int
    end: int


def find_places(words: Sequence[str]) -> Iterator[Place]:
    """Yield the longest names among the words of a text, none inside of another.

    >>> list(find_places(["cold", "in", "new", "mexico", ",", "US"]))
    [Place(kinds=('region',), first=2, end=4), Place(kinds=('country-code',), first=5, end=6)]
    """
    names = _load_names()
    folded = [fold(word) for word in words]
    first = 0
    while first < len(words):
        end = next(
            (
                first + len(name)
                for name in names.by_first_word.get(folded[first], ())
                if tuple(folded[first : first + len(name)]) == name and _kinds(names, name, words[first])
            ),
            None,
        )
        if end is None:
            first += 1
            continue
        yield Place(_kinds(names, tuple(folded[first:end]), words[first]), first, end)
        first = end


@lru_cache(maxsize=65_536)
def fold(word: str) -> str:
    """Return a word in lower case without accents."""
    return "".join(one for one in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(one))


class _Names(NamedTuple):
    kinds: Mapping[tuple[str, ...], tuple[str, ...]]
    by_first_word: Mapping[str, Sequence[tuple[str, ...]]]
    """The longest first."""


def _kinds(names: _Names, name: tuple[str, ...], first_word: str) -> tuple[str, ...]:
    return tuple(kind for kind in names.kinds[name] if not kind.endswith(_CODE) or first_word.isupper())


@cache
def _load_names() -> _Names:
    kinds: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        kind, _, listed = line.partition(": ")
        for name in listed.split("; "):
            kinds[tuple(fold(token.text) for token in tokenize(name))].append(kind)
    by_first_word: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for words in sorted(kinds, key=len, reverse=True):
        by_first_word[words[0]].append(words)
    return _Names({words: tuple(dict.fromkeys(of)) for words, of in kinds.items()}, by_first_word)
