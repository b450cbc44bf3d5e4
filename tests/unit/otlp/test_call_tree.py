"""Calls around other calls, as their spans arrive."""

from typing import Any

from understudies.otlp.call_tree import CallTree, innermost_first


def span(number: int, parent: int | None = None, **times: Any) -> dict[str, Any]:
    return {"traceId": "t", "spanId": f"{number}", "parentSpanId": None if parent is None else f"{parent}", **times}


def test_what_is_around_a_call_is_known_once_the_call_was_added() -> None:
    tree = CallTree()
    tree.add_call_inside(span(3, parent=2))
    assert tree.has_call_inside(span(2, parent=1))
    assert not tree.has_call_inside(span(1))
    assert not tree.has_call_inside({**span(2), "traceId": "another"})


def test_the_oldest_are_forgotten() -> None:
    tree = CallTree(capacity=2)
    for number in range(3):
        tree.add_call_inside(span(10 + number, parent=number))
    assert [tree.has_call_inside(span(number)) for number in range(3)] == [False, True, True]


def test_spans_are_sorted_by_their_end_and_inner_ones_first_where_they_end_together() -> None:
    outer = span(1, startTimeUnixNano="1", endTimeUnixNano="9")
    inner = span(2, parent=1, startTimeUnixNano="2", endTimeUnixNano="9")
    first = span(3, startTimeUnixNano="3", endTimeUnixNano="5")
    broken = span(4, startTimeUnixNano=None, endTimeUnixNano="soon")
    assert innermost_first([outer, inner, first, broken]) == [broken, first, inner, outer]
