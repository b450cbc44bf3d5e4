"""Detect the location of the label in answers that combine a label with an explanation."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from understudies.judges.label import LABEL_ENDS, LabelLocator
from understudies.judges.label_text import normalize_label
from understudies.judges.vocabulary import (
    ARTICLES,
    EXPLANATION_FIELDS,
    EXPLANATION_PATTERN,
    LABEL_FIELDS,
    PROSE_OPENINGS,
)

_LEAST = 10
_MOST_LABELS = 500
_LABEL_LENGTH = 60
_LABEL_WORDS = 6
_LOOKED_AT = 20_000
_EXPLAINING = 0.5
_BARE = 0.1
_NAMED_LINE = re.compile(r"[\s>*#_-]{0,8}([^\W\d_][\w-]*(?: [\w-]+)?)[*_]{0,3}\s?:(?=\s|\*|$)")
_STRONG = frozenset({"dash", "bracket", "colon", "semicolon", "bar"})
_BEFORE = (
    frozenset({"line"}),
    *(frozenset({end}) for end in LABEL_ENDS),
    _STRONG,
    _STRONG | {"stop"},
    _STRONG | {"comma"},
    frozenset(LABEL_ENDS),
)


def detect_label_locator(texts: Sequence[str], share: float) -> LabelLocator | None:
    """Return the locator of the label if at least `share` of a task's answers contain one of a closed set, else None.

    The text next to the labels must read like an explanation, or be missing from some answers: after `fix: ...` and
    `Dear Ann, ...`, the text is the actual content of the answer. Of several locators, the one that finds the most
    distinct labels is chosen.
    """
    if len(texts) < _LEAST:
        return None
    truncated = [text[:_LOOKED_AT] for text in texts]
    by_field = [LabelLocator(field, before - {"line"}) for field in _fields(truncated, share) for before in _BEFORE]
    candidates = [*by_field, *map(partial(LabelLocator, None), _BEFORE)]
    label_counts = {locator: _count_labels(locator, truncated, share) for locator in candidates}
    best = max(candidates, key=lambda locator: label_counts[locator])
    return best if label_counts[best] else None


def _fields(texts: Sequence[str], share: float) -> list[str]:
    """Return the known field names of labels that occur exactly once in at least `share` of the answers."""
    lines = (Counter(_named_lines(text)) for text in texts)
    seen = Counter(name for names in lines for name, count in names.items() if count == 1 and name in LABEL_FIELDS)
    return sorted(name for name, count in seen.items() if count >= share * len(texts))


def _named_lines(text: str) -> Iterator[str]:
    return (match[1].casefold() for line in text.splitlines() if (match := _NAMED_LINE.match(line)))


def _count_labels(locator: LabelLocator, texts: Sequence[str], share: float) -> int:
    """Return the number of distinct labels that a locator finds; 0 if it does not suit the answers."""
    parts = [locator.locate(text) for text in texts]
    counts = Counter(normalize_label(label) for label, _ in parts if _is_label_like(label))
    repeated = {label: count for label, count in counts.items() if count > 1}
    covered = sum(count for label, count in repeated.items() if not _opens_prose(label))
    suits = (
        covered >= share * len(texts)
        and 2 <= len(repeated) <= min(_MOST_LABELS, len(texts) // 2)
        and _are_explanations([rest for _, rest in parts], share)
    )
    return len(repeated) if suits else 0


def _is_label_like(text: str) -> bool:
    return len(text) <= _LABEL_LENGTH and 0 < len(text.split()) <= _LABEL_WORDS and "\n" not in text and text[0] != "#"


def _opens_prose(label: str) -> bool:
    first, _, more = label.partition(" ")
    return first in PROSE_OPENINGS or bool(more and first in ARTICLES)


def _are_explanations(rests: Sequence[str], share: float) -> bool:
    """Return whether the texts next to the labels explain them."""
    non_empty = [rest for rest in rests if rest]
    if not non_empty or sum(map(_has_no_other_field, rests)) < share * len(rests):
        return False
    bare = len(rests) - len(non_empty)
    return bare >= _BARE * len(rests) or sum(map(_is_explanation, non_empty)) >= _EXPLAINING * len(non_empty)


def _is_explanation(rest: str) -> bool:
    return EXPLANATION_PATTERN.search(rest) is not None


def _has_no_other_field(rest: str) -> bool:
    """Return whether the text contains no field other than explanations, such as a second label."""
    return all(EXPLANATION_FIELDS.intersection(name.split()) for name in _named_lines(rest))
