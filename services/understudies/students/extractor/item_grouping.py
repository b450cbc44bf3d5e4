"""Group tagged spans into values, and into the objects of a list by where a new one begins."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from understudies.students.extractor.alignment import AlignedText, Tagged, spans_of
from understudies.students.extractor.obstacles import NotExtractable, Obstacle
from understudies.students.extractor.plans import AnswerPlan, Section

REPEAT: Final = "repeat"
"""A new object begins where a field would have a second value."""
LINE: Final = "line"
"""So it does, and in each line with values."""
_LEAST_GROUPED: Final = 0.5


def group_spans(spans: Sequence[Tagged], section: Section, boundary: str, lines: Sequence[int]) -> list[list[Tagged]]:
    """Group the spans of a list's fields, in the order of the text, into objects.

    A boundary other than `repeat` and `line` is the number, in its section, of the field that comes first in each.
    """
    groups: list[list[Tagged]] = []
    for span in spans:
        if not groups or _begins(span, groups[-1], section, boundary, lines):
            groups.append([span])
        else:
            groups[-1].append(span)
    return groups


def _begins(span: Tagged, group: Sequence[Tagged], section: Section, boundary: str, lines: Sequence[int]) -> bool:
    """Return whether a span begins another object than the one before it."""
    field = span[0] - section.first
    if boundary == LINE and lines[span[1]] != lines[group[-1][1]]:
        return True
    if section.plan.fields[field].several:
        return boundary == str(field) and group[-1][0] != span[0]
    return boundary == str(field) or any(one[0] == span[0] for one in group)


def section_spans(spans: Sequence[Tagged], section: Section) -> list[Tagged]:
    """Return the spans of a section's fields."""
    return [span for span in spans if section.first <= span[0] < section.first + len(section.plan.fields)]


def join_adjacent(spans: Sequence[Tagged], section: Section) -> list[Tagged]:
    """Join spans that follow on each other into one value, of fields that never have several."""
    joined: list[Tagged] = []
    for span in spans:
        number, _, end = span
        if joined and joined[-1][0] == number and joined[-1][2] == span[1] and not _takes_several(section, number):
            joined[-1] = (number, joined[-1][1], end)
        else:
            joined.append(span)
    return joined


def _takes_several(section: Section, number: int) -> bool:
    return section.plan.fields[number - section.first].several


def learn_boundaries(plan: AnswerPlan, aligned: Sequence[AlignedText]) -> AnswerPlan:
    """Return the plan with the boundary of each list that groups the most texts as they are, the simplest of equals.

    Raises NotExtractable if none groups half of them.
    """
    fields = list(plan.fields)
    for number, section in plan.sections.items():
        candidates = [REPEAT, LINE, *map(str, range(len(section.plan.fields)))]
        texts = [one for one in aligned if number in one.items]
        spans = [section_spans(spans_of(one.tags), section) for one in texts]
        right = {
            boundary: sum(
                group_spans(found, section, boundary, one.lines) == one.items[number]
                for one, found in zip(texts, spans, strict=True)
            )
            for boundary in candidates
        }
        best = max(candidates, key=lambda boundary: right[boundary])
        share = right[best] / max(1, len(texts))
        if share < _LEAST_GROUPED:
            why = f"its objects can be told apart in {share:.0%} of the texts"
            raise NotExtractable.by_obstacles([Obstacle(fields[number].name, len(texts) / len(aligned), why)])
        fields[number] = replace(fields[number], boundary=best)
    return replace(plan, fields=tuple(fields))


def region_of(groups: Sequence[Sequence[Tagged]], index: int, lines: Sequence[int]) -> tuple[int, int]:
    """Return the tokens that belong to an object: its lines, as far as no other object stands in them."""
    first, end = groups[index][0][1], groups[index][-1][2]
    least = groups[index - 1][-1][2] if index else 0
    most = groups[index + 1][0][1] if index + 1 < len(groups) else len(lines)
    while first > least and lines[first - 1] == lines[groups[index][0][1]]:
        first -= 1
    while end < most and lines[end] == lines[groups[index][-1][1]]:
        end += 1
    return first, end
