"""Describe each token of a text by its form, its neighbours, and what is known of it."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final

from understudies.students.extractor.crf import Features
from understudies.students.extractor.gazetteer import find_places
from understudies.students.extractor.tokens import Token, mask_digits, word_shape

_WINDOW: Final = 3
"""Neighbours on each side by which a token is described."""
MAX_VALUE_TOKENS: Final = 6
"""Most tokens of a known value that is looked up."""

KnownValues = Mapping[str, Mapping[str, Collection[str]]]
"""The fields of known values, by the first word and by the words of each value, as `mask_digits` gives them."""


def describe(text: str, tokens: Sequence[Token], known: KnownValues) -> Features:
    """Return the features of each token.

    The word, its affixes and shape, its neighbours, the label before it on its line, the fields in whose `known` values
    it occurs, and the kinds of place that it names.
    """
    if not tokens:
        return []
    words = [token.text for token in tokens]
    lower = [mask_digits(word) for word in words]
    shapes = [word_shape(word) for word in words]
    initials = [shape[0] for shape in shapes]
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
                # What a name begins and ends with: its capitals by those, and by the words, beside it.
                [f"ss-={one} {other}" for one, other in pairwise(["<", *initials])],
                [f"ss+={one} {other}" for one, other in pairwise([*initials, ">"])],
                [f"ws-={one} {other}" for one, other in zip(["<", *lower[:-1]], initials, strict=True)],
                [f"ws+={one} {other}" for one, other in zip(initials, [*lower[1:], ">"], strict=True)],
                strict=True,
            ),
            strict=True,
        )
    ]
    for edge in {0, len(described) - 1}:
        described[edge] = [feature for feature in described[edge] if feature]
    _add_places(described, words)
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


def _add_places(described: Features, words: Sequence[str]) -> None:
    """Add the kinds of place that a name in the text has: to its beginning, to its inside, and to the token before."""
    for kinds, first, end in find_places(words):
        for kind in kinds:
            described[first].append(f"g={kind}")
            for inside in range(first + 1, end):
                described[inside].append(f"gi={kind}")
            if first:
                described[first - 1].append(f"g+={kind}")
