"""Cut a text into tokens."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

MAX_TOKENS: Final = 3_000
"""Longer texts are not answered."""
MAX_CHARS: Final = 20_000
"""Nor are texts with more characters."""
_TOKEN: Final = re.compile(r"\d+(?:[.,:]\d+)*|['’]s\b|[^\W\d_]+(?:['’](?!s\b)[^\W\d_]+)*|_|[^\w\s]", re.IGNORECASE)
_DIGIT: Final = re.compile(r"\d")


class Token(NamedTuple):
    """A token with its place in the text."""

    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Return the words, numbers and marks of a text; a possessive ending stands alone, as values end before it."""
    return [Token(match[0], *match.span()) for match in _TOKEN.finditer(text)]


def token_span(tokens: Sequence[Token], starts: Mapping[int, int], span: tuple[int, int]) -> tuple[int, int] | None:
    """Return the tokens that a span of characters covers exactly, as (first, one after the last); None if cut."""
    first = starts.get(span[0])
    if first is None:
        return None
    last = first
    while last < len(tokens) and tokens[last].end < span[1]:
        last += 1
    return (first, last + 1) if last < len(tokens) and tokens[last].end == span[1] else None


def line_numbers(text: str, tokens: Sequence[Token]) -> list[int]:
    """Return the number of the line that each token stands in.

    >>> line_numbers("a b\\n\\nc", tokenize("a b\\n\\nc"))
    [0, 0, 2]
    """
    numbers, line, since = [], 0, 0
    for token in tokens:
        line += text.count("\n", since, token.start)
        since = token.start
        numbers.append(line)
    return numbers


@lru_cache(maxsize=65_536)
def word_shape(word: str) -> str:
    """Return the form of a word: capitals as X, small letters as x, digits as 9; at most five characters."""
    return re.sub(r"\d", "9", re.sub(r"[^\W\dA-Z_]", "x", re.sub(r"[A-Z]", "X", word[:5])))


@lru_cache(maxsize=65_536)
def mask_digits(word: str) -> str:
    """Return a word in lower case with every digit as 0."""
    return _DIGIT.sub("0", word.casefold())
