from understudies.students.extractor.item_grouping import join_adjacent
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, Section

SECTION = Section(0, AnswerPlan((FieldPlan(("kind",), "copied"), FieldPlan(("tags",), "copied", several=True))))


def test_spans_that_follow_on_each_other_are_one_value() -> None:
    assert join_adjacent([(0, 1, 2), (0, 2, 4), (0, 4, 5)], SECTION) == [(0, 1, 5)]


def test_spans_apart_or_of_other_fields_or_of_several_values_stay() -> None:
    for spans in ([(0, 1, 2), (0, 3, 4)], [(0, 1, 2), (1, 2, 3), (0, 3, 4)], [(1, 0, 1), (1, 1, 2)], []):
        assert join_adjacent(spans, SECTION) == spans
