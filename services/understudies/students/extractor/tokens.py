"""Cut a text into tokens, and describe each by its form and its neighbours."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from understudies.students.extractor.crf import Features

MAX_TOKENS: Final = 3_000
"""Longer texts are not answered."""
MAX_CHARS: Final = 20_000
"""Nor are texts with more characters."""
_TOKEN: Final = re.compile(r"\d+(?:[.,:]\d+)*|['’]s\b|[^\W\d_]+(?:['’](?!s\b)[^\W\d_]+)*|_|[^\w\s]", re.IGNORECASE)
_DIGIT: Final = re.compile(r"\d")
_WINDOW: Final = 3
"""Neighbours on each side by which a token is described."""
MAX_VALUE_TOKENS: Final = 6
"""Most tokens of a known value that is looked up."""


KnownValues = Mapping[str, Mapping[str, Collection[str]]]
"""The fields of known values, by the first word and by the words of each value, as `mask_digits` gives them."""


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


def describe(text: str, tokens: Sequence[Token], known: KnownValues) -> Features:
    """Return the features of each token.

    The word, its affixes and shape, its neighbours, the label before it on its line, and the fields in whose `known`
    values it occurs.
    """
    if not tokens:
        return []
    words = [token.text for token in tokens]
    lower = [mask_digits(word) for word in words]
    shapes = [word_shape(word) for word in words]
    before, after = {}, {}
    for offset in range(1, _WINDOW + 1):
        before[offset] = [f"{-offset}={word}" for word in ["<"] * offset + lower[:-offset]]
        after[offset] = [f"{offset}={word}" for word in lower[offset:] + [">"] * offset]
    # By columns: a page has hundreds of tokens, and is to be described in a millisecond.
    described: Features = [
        [*own, *known_values, *around]
        for own, known_values, around in zip(
            zip(
                ["b"] * len(words),
                [f"w={word}" for word in lower],
                [f"s={shape}" for shape in shapes],
                [f"s3={word[-3:]}" for word in lower],
                [f"p3={word[:3]}" for word in lower],
                [f"l={label}" for label in _line_labels(text, tokens)],
                strict=True,
            ),
            _find_known(lower, known),
            zip(
                *(before[offset][: len(words)] for offset in range(_WINDOW, 0, -1)),
                ["", *(f"s-1={shape}" for shape in shapes[:-1])],
                after[1],
                [*(f"s1={shape}" for shape in shapes[1:]), ""],
                *(after[offset][-len(words) :] for offset in range(2, _WINDOW + 1)),
                ["", *(f"-={one} {other}" for one, other in pairwise(lower))],
                [*(f"+={one} {other}" for one, other in pairwise(lower)), ""],
                strict=True,
            ),
            strict=True,
        )
    ]
    for edge in {0, len(described) - 1}:
        described[edge] = [feature for feature in described[edge] if feature]
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


def _find_known(words: Sequence[str], known: KnownValues) -> list[list[str]]:
    """Return for each token a feature for each field with a known value there: its beginning, or its inside."""
    found: list[list[str]] = [[] for _ in words]
    for first, word in enumerate(words):
        values = known.get(word)
        if values is None:
            continue
        phrase = ""
        for last in range(first, min(len(words), first + MAX_VALUE_TOKENS)):
            phrase = words[last] if last == first else f"{phrase} {words[last]}"
            for name in values.get(phrase, ()):
                found[first].append(f"k={name}")
                for inside in range(first + 1, last + 1):
                    found[inside].append(f"ki={name}")
    return found
