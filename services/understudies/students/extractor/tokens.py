"""Cut a text into tokens, and describe each by its form and its neighbours."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from understudies.students.extractor.crf import Features

MAX_TOKENS: Final = 3_000
"""Longer texts are not answered."""
MAX_CHARS: Final = 20_000
"""Nor are texts with more characters."""
_TOKEN: Final = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|_|[^\w\s]")
_DIGIT: Final = re.compile(r"\d")
_WINDOW: Final = (-3, -2, -1, 1, 2, 3)
MAX_VALUE_TOKENS: Final = 6
"""Most tokens of a known value that is looked up."""


class Token(NamedTuple):
    """A token with its place in the text."""

    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Return the words, numbers and marks of a text."""
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


def describe(text: str, tokens: Sequence[Token], known: Mapping[str, Collection[str]]) -> Features:
    """Return the features of each token.

    The word, its affixes and shape, its neighbours, the label before it on its line, and the fields in whose `known`
    values it occurs, by the value's text in lower case.
    """
    words = [token.text for token in tokens]
    lower = [mask_digits(word) for word in words]
    shapes = [word_shape(word) for word in words]
    labels = _line_labels(text, tokens)
    memberships = _find_known(lower, known)
    described: Features = []
    for i, word in enumerate(lower):
        features = [
            "b",
            f"w={word}",
            f"s={shapes[i]}",
            f"s3={word[-3:]}",
            f"p3={word[:3]}",
            f"l={labels[i]}",
            *memberships[i],
        ]
        for offset in _WINDOW:
            j = i + offset
            neighbour = lower[j] if 0 <= j < len(lower) else ("<" if j < 0 else ">")
            features.append(f"{offset}={neighbour}")
            if abs(offset) == 1 and 0 <= j < len(lower):
                features.append(f"s{offset}={shapes[j]}")
        if i:
            features.append(f"-={lower[i - 1]} {word}")
        if i + 1 < len(lower):
            features.append(f"+={word} {lower[i + 1]}")
        described.append(features)
    return described


def _line_labels(text: str, tokens: Sequence[Token]) -> list[str]:
    """Return for each token the words before the last colon of its line; "" without one."""
    labels: list[str] = []
    label, since, line_end = "", 0, -1
    for index, token in enumerate(tokens):
        if token.start > line_end:
            line_end = text.find("\n", token.start)
            line_end = len(text) if line_end < 0 else line_end
            label, since = "", index
        labels.append(label)
        if token.text == ":":
            label = " ".join(mask_digits(one.text) for one in tokens[max(since, index - 3) : index])
            since = index + 1
    return labels


def _find_known(words: Sequence[str], known: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return for each token a feature for each field with a known value there: its beginning, or its inside."""
    found: list[list[str]] = [[] for _ in words]
    for first in range(len(words)):
        phrase = ""
        for last in range(first, min(len(words), first + MAX_VALUE_TOKENS)):
            phrase = words[last] if last == first else f"{phrase} {words[last]}"
            for name in known.get(phrase, ()):
                found[first].append(f"k={name}")
                for inside in range(first + 1, last + 1):
                    found[inside].append(f"ki={name}")
    return found
