"""Tag the places where the fields of recorded answers stand in their requests."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from understudies.students.extractor.fields import Fields, Leaf, is_nothing, items_of, scalars_of, to_json
from understudies.students.extractor.item_alignment import Item, Place, choose_windows
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, ObjectPlan
from understudies.students.extractor.text_index import Span, TextIndex
from understudies.students.extractor.tokens import MAX_TOKENS, Token, mask_digits

Tagged = tuple[int, int, int]
"""The number of a field, its first token, and one after the last."""


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A text with its tokens and their tags: `B-FIELD`, `I-FIELD` or `O`; the fields by their numbers."""

    text: str
    tokens: Sequence[Token]
    tags: list[str]
    lines: Sequence[int] = ()
    """The line of each token."""
    items: Mapping[int, list[list[Tagged]]] = field(default_factory=dict)
    """The spans of each object of a list, by the number of the list's field."""


def align(texts: Sequence[TextIndex], answers: Sequence[Fields], plan: AnswerPlan) -> list[AlignedText | None]:
    """Tag each text with the spans of its copied fields; None where a value does not stand there.

    Where a value stands several times, the place whose neighbours are most common for the field is taken. The objects
    of a list stand one after the other, each in the narrowest place that has all of its values.
    """
    places = [_find_places(text, answer, plan) for text, answer in zip(texts, answers, strict=True)]
    neighbours = Neighbours()
    for text, found in zip(texts, places, strict=True):
        if found is not None:
            neighbours.learn(text, found)
    return [None if found is None else _tag(text, found, neighbours) for text, found in zip(texts, places, strict=True)]


class _Places(NamedTuple):
    """Where the values of an answer stand, and those of its lists' objects by the number of the list's field."""

    values: list[Place]
    items: dict[int, list[Item]]


def _find_places(text: TextIndex, answer: Fields, plan: AnswerPlan) -> _Places | None:
    if len(text.tokens) > MAX_TOKENS:
        return None
    values = _find_values(text, answer, plan, 0)
    items = {
        number: [_find_values(text, item, section.plan, section.first) for item in items_of(given)]
        for number, section in plan.sections.items()
        if not is_nothing(given := answer.get(plan.fields[number].path))
    }
    found = [values, *(item for several in items.values() for item in several)]
    if any(places is None or not all(spans for _, spans in places) for places in found):
        return None
    # An object without any copied value has no place.
    if not all(item for several in items.values() for item in several):
        return None
    return _Places(values or [], {number: [item or [] for item in several] for number, several in items.items()})


def _find_values(text: TextIndex, fields: Fields, plan: AnswerPlan, first: int) -> list[Place] | None:
    """Return the places of the copied values; None if an object is given as another value."""
    if not all(is_nothing_in(one, fields.get(one.path)) for one in plan.objects):
        return None
    return [
        (number, text.find(one.reader, item))
        for number, one in enumerate(plan.fields, first)
        if one.kind == "copied" and not is_nothing_in(one, fields.get(one.path))
        for item in scalars_of(fields.get(one.path))
    ]


def is_nothing_in(plan: FieldPlan | ObjectPlan, value: Leaf) -> bool:
    """Return whether a field or an object has no value, or what stands for none."""
    return is_nothing(value) or bool(plan.nothing and to_json(value) == plan.nothing[0])


class Neighbours:
    """The words around the values of each field, counted in texts in which they tell one place of a value.

    These are the words before and after a value, and the first one of its line.
    """

    def __init__(self) -> None:
        self._counts = Counter[_Neighbour]()

    def learn(self, text: TextIndex, places: _Places) -> None:
        """Count the neighbours that only one of the places of a value has."""
        items = [place for several in places.items.values() for item in several for place in item]
        for number, spans in [*places.values, *items]:
            around = Counter(one for span in spans for one in _neighbours(text, number, span))
            self._counts.update(one for one, count in around.items() if count == 1)

    def count(self, text: TextIndex, number: int, span: Span) -> int:
        """Return how often the neighbours of a span told a place of a field."""
        return sum(self._counts[one] for one in _neighbours(text, number, span))


_Neighbour = tuple[int, str, str]


def _neighbours(text: TextIndex, number: int, span: Span) -> list[_Neighbour]:
    tokens = text.tokens
    before = mask_digits(tokens[span[0] - 1].text) if span[0] else "<"
    after = mask_digits(tokens[span[1]].text) if span[1] < len(tokens) else ">"
    found = [(number, "before", before), (number, "after", after)]
    if text.lines[-1]:
        found.append((number, "line", mask_digits(tokens[bisect_left(text.lines, text.lines[span[0]])].text)))
    return found


def _tag(text: TextIndex, places: _Places, neighbours: Neighbours) -> AlignedText | None:
    tags = ["O"] * len(text.tokens)
    certain = [place for place in places.values if len(place[1]) == 1]
    if not _tag_values(text, certain, tags, neighbours):
        return None
    grouped: dict[int, list[list[Tagged]]] = {}
    for number, items in places.items.items():
        windows = choose_windows(
            items,
            lambda span: all(tags[i] == "O" for i in range(*span)),
            text.lines,
            lambda field, span: neighbours.count(text, field, span),
        )
        if windows is None:
            return None
        grouped[number] = windows
        for window in windows:
            for field_number, first, end in window:
                _write_tag(tags, field_number, (first, end))
    if not _tag_values(text, [place for place in places.values if len(place[1]) > 1], tags, neighbours):
        return None
    return AlignedText(text.text, text.tokens, tags, text.lines, grouped)


def _tag_values(text: TextIndex, places: Sequence[Place], tags: list[str], neighbours: Neighbours) -> bool:
    """Tag values at free places; returns whether there was one for each."""
    # Long values first, as they leave the least choice.
    for number, spans in sorted(places, key=lambda place: place[1][0][0] - place[1][0][1]):
        free = [span for span in spans if all(tags[i] == "O" for i in range(*span))]
        if not free:
            return False
        best = max(free, key=lambda span: (neighbours.count(text, number, span), -span[0]))
        _write_tag(tags, number, best)
    return True


def _write_tag(tags: list[str], number: int, span: Span) -> None:
    first, end = span
    tags[first:end] = [f"B-{number}", *[f"I-{number}"] * (end - first - 1)]


def spans_of(tags: Sequence[str]) -> list[Tagged]:
    """Return the tagged spans as (field, first token, one after the last).

    >>> spans_of(["O", "B-1", "I-1", "B-1", "I-0"])
    [(1, 1, 3), (1, 3, 4), (0, 4, 5)]
    """
    starts = [
        index
        for index, tag in enumerate(tags)
        if tag != "O" and (tag[0] == "B" or index == 0 or tags[index - 1][1:] != tag[1:])
    ]
    ends = {
        begin: next((i for i in range(begin + 1, len(tags)) if tags[i] != f"I{tags[begin][1:]}"), len(tags))
        for begin in starts
    }
    return [(int(tags[begin][2:]), begin, ends[begin]) for begin in starts]
