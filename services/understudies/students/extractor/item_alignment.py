"""Find the places of the objects of a list in a text, one after the other."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from understudies.students.extractor.text_index import Place, Span

Item = list[Place]
"""The places of the values of one object."""

_LINE: Final = 20.0
"""A line break parts two values as much as so many tokens."""
_USUAL: Final = 2.0
"""Tokens for which the logarithm of the count of a value's neighbours makes up."""


@dataclass(frozen=True, slots=True)
class _Window:
    """One choice of places for the values of an object."""

    spans: tuple[tuple[int, int, int], ...]
    cost: float

    @property
    def first(self) -> int:
        return min(span[1] for span in self.spans)

    @property
    def end(self) -> int:
        return max(span[2] for span in self.spans)


def choose_windows(
    items: Sequence[Item],
    is_free: Callable[[Span], bool],
    lines: Sequence[int],
    count: Callable[[int, Span], int],
) -> list[list[tuple[int, int, int]]] | None:
    """Return the spans of each object, as (field, first token, one after the last); None if there are none in order.

    Windows of successive objects do not overlap; of all such sequences the one that is narrowest together, in tokens
    and lines, is found by dynamic programming. `count` says how usual the neighbours of a span are for a field.
    """
    # The best sequences so far by where they end; one that ends later costs less.
    ends: list[int] = [0]
    best: list[tuple[float, list[_Window]]] = [(0.0, [])]
    for item in items:
        free = [(number, [span for span in spans if is_free(span)]) for number, spans in item]
        extended: list[tuple[int, float, list[_Window]]] = []
        for window in _windows(free, lines, count):
            if before := bisect_right(ends, window.first):
                cost, chosen = best[before - 1]
                extended.append((window.end, cost + window.cost, [*chosen, window]))
        ends, best = [], []
        for end, cost, chosen in sorted(extended, key=lambda one: one[:2]):
            if not best or cost < best[-1][0]:
                ends.append(end)
                best.append((cost, chosen))
    return [sorted(window.spans, key=lambda span: span[1]) for window in best[-1][1]] if best else None


def _windows(item: Item, lines: Sequence[int], count: Callable[[int, Span], int]) -> list[_Window]:
    """Return windows around each place of the value with the fewest: the nearest values, those before, those after."""
    if not all(spans for _, spans in item):
        return []
    # The longest of equals, as it is the surest.
    ordered = sorted(item, key=lambda place: (len(place[1]), place[1][0][0] - place[1][0][1]))
    windows: dict[tuple[tuple[int, int, int], ...], _Window] = {}
    (number, anchors), *others = ordered
    for anchor in anchors:
        for earliest, latest in ((0, len(lines)), (anchor[0], len(lines)), (0, anchor[1])):
            taken: list[tuple[int, Span]] = [(number, anchor)]
            cost = 0.0
            for other, spans in others:
                allowed = [
                    span
                    for span in spans
                    if earliest <= span[0] and span[1] <= latest and not any(_overlap(span, one) for _, one in taken)
                ]
                if not allowed:
                    break
                costs = [
                    (_distance(span, anchor, lines) - _USUAL * math.log1p(count(other, span)), span) for span in allowed
                ]
                least, nearest = min(costs)
                cost += least
                taken.append((other, nearest))
            else:
                spans_taken = tuple((field, *span) for field, span in taken)
                windows.setdefault(spans_taken, _Window(spans_taken, cost))
    return list(windows.values())


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _distance(span: Span, anchor: Span, lines: Sequence[int]) -> float:
    gap = max(span[0] - anchor[1], anchor[0] - span[1], 0)
    return gap + _LINE * abs(lines[span[0]] - lines[anchor[0]])


def nearest_group(span: Span, groups: Sequence[Sequence[tuple[int, int, int]]], lines: Sequence[int]) -> int:
    """Return the number of the object whose values a span is the nearest to, the later of two."""
    distances = [min(_distance(span, (first, end), lines) for _, first, end in group) for group in groups]
    return max(range(len(groups)), key=lambda index: (-distances[index], index))
