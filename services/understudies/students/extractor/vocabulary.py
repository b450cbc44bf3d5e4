"""Remember the words, the values and the make-up of objects that training texts had."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Annotated, Final

from understudies.persistence.fields import SORTED
from understudies.students.extractor.alignment import AlignedText, Tagged, spans_of
from understudies.students.extractor.token_features import MAX_VALUE_TOKENS, KnownValues
from understudies.students.extractor.tokens import mask_digits

_MAX_KNOWN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of the training texts, the neighbouring words outside of values, and the values by field.

    Values are counted, so that a training text's own can be left out when it is described.
    """

    words: Annotated[frozenset[str], SORTED] = frozenset()
    pairs: Annotated[frozenset[str], SORTED] = frozenset()
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How often each value, in lower case with digits masked, stood in each field."""
    lines: Annotated[frozenset[str], SORTED] = frozenset()
    """The lines that several texts of more than one had, with each value as a mark."""
    items: Annotated[frozenset[str], SORTED] = frozenset()
    """The fields of the objects of lists, in the order of their values."""

    @classmethod
    def learn(cls, aligned: Sequence[AlignedText]) -> "Vocabulary":
        """Learn from tagged training texts."""
        items = {field_order(item) for one in aligned for several in one.items.values() for item in several}
        words: set[str] = set()
        pairs: set[str] = set()
        values: defaultdict[str, Counter[str]] = defaultdict(Counter)
        lines: Counter[str] = Counter()
        for one in aligned:
            lower = [mask_digits(token.text) for token in one.tokens]
            words.update(lower)
            pairs.update(outer_pairs(lower, one.tags))
            lines.update(set(outer_lines(lower, one.tags, one.lines)))
            for name, first, end in spans_of(one.tags):
                values[" ".join(lower[first:end])][str(name)] += 1
        frequent = sorted(values.items(), key=lambda item: (-item[1].total(), item[0]))[:_MAX_KNOWN]
        known = {text: dict(fields) for text, fields in frequent}
        return cls(frozenset(words), frozenset(pairs), known, _frequent(lines), frozenset(items))

    def known(self, without: AlignedText | None = None) -> KnownValues:
        """Return the fields of each known value; a training text's own mentions are left out."""
        known: defaultdict[str, dict[str, Sequence[str]]] = defaultdict(dict)
        if without is None:
            for text, fields in self.values.items():
                known[text.partition(" ")[0]][text] = tuple(fields)
            return dict(known)
        lower = [mask_digits(token.text) for token in without.tokens]
        own = Counter((" ".join(lower[first:end]), str(name)) for name, first, end in spans_of(without.tags))
        for text in _phrases(lower):
            if text in self.values:
                left = [name for name, count in self.values[text].items() if count > own[text, name]]
                if left:
                    known[text.partition(" ")[0]][text] = left
        return dict(known)


def _frequent(lines: Counter[str]) -> frozenset[str]:
    return frozenset(line for line, count in lines.most_common(_MAX_KNOWN) if count > 1)


def field_order(item: Sequence[Tagged]) -> str:
    """Return the numbers of an object's fields in the order of their values, several of one as one."""
    return " ".join(str(number) for number, _ in groupby(one[0] for one in item))


def _phrases(words: Sequence[str]) -> set[str]:
    return {
        " ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(len(words), i + MAX_VALUE_TOKENS) + 1)
    }


def outer_pairs(words: Sequence[str], tags: Sequence[str]) -> set[str]:
    """Return the neighbouring words, with a whole value as one mark."""
    outer = _outer_words(words, tags)
    return {f"{one} {other}" for one, other in zip(["<", *outer], [*outer, ">"], strict=True)}


def outer_lines(words: Sequence[str], tags: Sequence[str], lines: Sequence[int]) -> list[str]:
    """Return the lines of a text of several, with a whole value as one mark; none of a text of one.

    >>> outer_lines(["to", ":", "new", "york", "9", "eur"], ["O", "O", "B-1", "I-1", "B-2", "O"], [0, 0, 0, 0, 1, 1])
    ['to : [1]', '[2] eur']
    """
    if not lines or not lines[-1]:
        return []
    starts = [index for index in range(len(lines)) if not index or lines[index] != lines[index - 1]]
    return [
        " ".join(_outer_words(words[first:end], tags[first:end]))
        for first, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def _outer_words(words: Sequence[str], tags: Sequence[str]) -> list[str]:
    outer: list[str] = []
    for word, tag in zip(words, tags, strict=True):
        if tag == "O":
            outer.append(word)
        elif tag[0] == "B" or not outer:
            outer.append(f"[{tag[2:]}]")
    return outer
