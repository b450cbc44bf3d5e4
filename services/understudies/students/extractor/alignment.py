"""Tag the places where the fields of recorded answers stand in their requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from understudies.students.extractor.fields import Fields, Leaf, is_nothing, items_of, scalars_of, to_json
from understudies.students.extractor.item_alignment import Item, choose_windows, nearest_group
from understudies.students.extractor.neighbours import Neighbours
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, ObjectPlan, Section
from understudies.students.extractor.text_index import Place, Span, TextIndex
from understudies.students.extractor.tokens import MAX_TOKENS, Token

_USUAL_NEIGHBOURS: Final = 3
"""Fewer may be a mistake of the teacher."""
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
            neighbours.learn(text, found.all)
    aligned = [
        None if found is None else _tag(text, found, neighbours) for text, found in zip(texts, places, strict=True)
    ]
    for text, one, answer in zip(texts, aligned, answers, strict=True):
        if one is not None:
            _tag_defaults(text, one, answer, plan, neighbours)
    return aligned


class _Places(NamedTuple):
    """Where the values of an answer stand, and those of its lists' objects by the number of the list's field."""

    values: list[Place]
    items: dict[int, list[Item]]

    @property
    def all(self) -> list[Place]:
        """The places of all values."""
        return [*self.values, *(place for several in self.items.values() for item in several for place in item)]


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


def _tag_defaults(text: TextIndex, one: AlignedText, answer: Fields, plan: AnswerPlan, neighbours: Neighbours) -> None:
    """Tag values that stand for nothing, too, where they are stated: the quantity of "1 pen", where "a pen" has it."""
    for number, places in _find_defaults(text, answer, Section(0, plan)):
        _tag_default(text, number, places, one.tags, neighbours)
    for list_number, groups in one.items.items():
        for index, item in enumerate(items_of(answer.get(plan.fields[list_number].path))):
            for number, places in _find_defaults(text, item, plan.sections[list_number]):
                near = [span for span in places if nearest_group(span, groups, text.lines) == index]
                if span := _tag_default(text, number, near, one.tags, neighbours):
                    groups[index] = sorted([*groups[index], (number, *span)], key=lambda tagged: tagged[1])


def _find_defaults(text: TextIndex, fields: Fields, section: Section) -> list[Place]:
    """Return the places of the values that stand for nothing."""
    return [
        (number, text.find(plan.reader, item))
        for number, plan in enumerate(section.plan.fields, section.first)
        if plan.kind == "copied" and is_nothing_in(plan, fields.get(plan.path))
        for item in scalars_of(fields.get(plan.path))
        if not is_nothing(item)
    ]


def _tag_default(
    text: TextIndex, number: int, spans: Sequence[Span], tags: list[str], neighbours: Neighbours
) -> Span | None:
    """Tag the free place whose neighbours are the most usual for the field, if they are any; returns it."""
    free = [span for span in spans if all(tags[i] == "O" for i in range(*span))]
    best = max(free, key=lambda span: (neighbours.count(text, number, span), -span[0]), default=None)
    if best is None or neighbours.count(text, number, best) < _USUAL_NEIGHBOURS:
        return None
    _write_tag(tags, number, best)
    return best


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
