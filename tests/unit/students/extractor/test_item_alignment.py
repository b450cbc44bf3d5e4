import pytest

from understudies.students.extractor.alignment import AlignedText, align, spans_of
from understudies.students.extractor.fields import Fields
from understudies.students.extractor.item_grouping import LINE, REPEAT, group_spans, learn_boundaries, region_of
from understudies.students.extractor.obstacles import NotExtractable
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, Section
from understudies.students.extractor.text_index import TextIndex

LINES = AnswerPlan(
    (
        FieldPlan(("name",), "copied", "text"),
        FieldPlan(("count",), "copied", "integer_plain"),
        FieldPlan(("price",), "copied", "number"),
    )
)
PLAN = AnswerPlan((FieldPlan(("lines",), "items", items=LINES), FieldPlan(("total",), "copied", "number")))
SECTION = Section(2, LINES)


def item(name: str, count: int, price: float | None = None) -> Fields:
    return {("name",): name, ("count",): count, ("price",): price}


def align_one(text: str, items: list[Fields], total: float | None = None) -> list[str] | None:
    [found] = align([TextIndex(text)], [{("lines",): items, ("total",): total}], PLAN)
    return None if found is None else [text_of(found, group) for group in found.items[0]]


def text_of(one: AlignedText, spans: list[tuple[int, int, int]]) -> str:
    words = [" ".join(token.text for token in one.tokens[first:end]) for _, first, end in spans]
    return " | ".join(words)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("pens 2 3.00\nclips 3 2.00", ["pens | 2 | 3.00", "clips | 3 | 2.00"]),
        ("3 pens at 2.5, 3 clips at 2.5", ["3 | pens | 2.5", "3 | clips | 2.5"]),
        ("we have clips\npens: 2, 3.00 each\nclips: 3, 2.00 each", ["pens | 2 | 3.00", "clips | 3 | 2.00"]),
        ("2 3.00 pens\n3 2.00 clips\n5 in all", ["2 | 3.00 | pens", "3 | 2.00 | clips"]),
    ],
)
def test_the_values_of_an_object_stand_together(text: str, rows: list[str]) -> None:
    numbers = [(3, 2.5), (3, 2.5)] if "2.5" in text else [(2, 3.0), (3, 2.0)]
    items = [item(name, *values) for name, values in zip(("pens", "clips"), numbers, strict=True)]
    assert align_one(text, items) == rows


def test_equal_objects_stand_one_after_the_other() -> None:
    items = [item("pens", 2, 1.5), item("pens", 2, 1.5)]
    assert align_one("pens 2 1.5\npens 2 1.5", items) == ["pens | 2 | 1.5"] * 2
    assert align_one("pens 2 1.5", items) is None, "one place is not enough for two"


def test_objects_in_another_order_than_in_the_text_are_not_aligned() -> None:
    assert align_one("pens 2 1.5\nclips 3 2.5", [item("clips", 3, 2.5), item("pens", 2, 1.5)]) is None


def test_a_value_of_the_answer_leaves_the_objects_their_places() -> None:
    text = "total 4.00\npens 1 4.00"
    [found] = align([TextIndex(text)], [{("lines",): [item("pens", 1, 4.0)], ("total",): 4.0}], PLAN)
    assert found is not None
    assert found.tags == ["O", "B-1", "B-2", "B-3", "B-4"]


def test_an_object_without_copied_values_has_no_place() -> None:
    assert align_one("pens 2", [item("pens", 2), {("name",): None}]) is None


@pytest.mark.parametrize(
    ("text", "tags", "boundary", "rows"),
    [
        ("pens 2 clips 3", "B-2 B-3 B-2 B-3", REPEAT, ["pens | 2", "clips | 3"]),
        ("pens clips 3", "B-2 B-2 B-3", REPEAT, ["pens", "clips | 3"]),
        ("pens\n3 clips", "B-2 B-3 B-2", REPEAT, ["pens | 3", "clips"]),
        ("pens\n3 clips", "B-2 B-3 B-2", LINE, ["pens", "3 | clips"]),
        ("pens 3 clips", "B-2 B-3 B-2", "1", ["pens", "3 | clips"]),
        ("so far", "O O", REPEAT, []),
    ],
)
def test_spans_are_grouped_by_a_boundary(text: str, tags: str, boundary: str, rows: list[str]) -> None:
    index = TextIndex(text)
    one = AlignedText(text, index.tokens, tags.split(), index.lines)
    groups = group_spans(spans_of(one.tags), SECTION, boundary, index.lines)
    assert [text_of(one, group) for group in groups] == rows


def test_several_values_of_one_field_begin_no_other_object() -> None:
    sizes = AnswerPlan(
        (FieldPlan(("name",), "copied", "text"), FieldPlan(("sizes",), "copied", "integer", several=True))
    )
    spans = [(1, 0, 1), (2, 1, 2), (2, 2, 3), (1, 3, 4), (2, 4, 5)]
    assert group_spans(spans, Section(1, sizes), REPEAT, [0] * 5) == [spans[:3], spans[3:]]
    assert group_spans([(2, 0, 1), (2, 1, 2), (1, 2, 3), (2, 3, 4)], Section(1, sizes), "1", [0] * 4) == [
        [(2, 0, 1), (2, 1, 2), (1, 2, 3)],
        [(2, 3, 4)],
    ]


@pytest.mark.parametrize(
    ("text", "items", "boundary"),
    [
        ("pens 2 clips 3", [item("pens", 2), item("clips", 3)], REPEAT),
        ("pens\n3 clips", [{("name",): "pens"}, item("clips", 3)], LINE),
        ("2 pens 3 4.5 clips", [item("pens", 2), item("clips", 3, 4.5)], REPEAT),
        ("2 pens, 3 at 4.5", [item("pens", 2), {("count",): 3, ("price",): 4.5}], REPEAT),
        ("3 and 4 clips", [{("count",): 3}, item("clips", 4)], REPEAT),
        ("pens 3 clips", [{("name",): "pens"}, item("clips", 3)], "1"),
    ],
)
def test_the_boundary_that_groups_as_the_teacher_is_learned(text: str, items: list[Fields], boundary: str) -> None:
    aligned = align([TextIndex(text)], [{("lines",): items}], PLAN)
    learned = learn_boundaries(PLAN, [one for one in aligned if one is not None])
    assert learned.fields[0].boundary == boundary


def test_an_object_has_its_lines_as_far_as_no_other_stands_there() -> None:
    text = "we need\nred pens 2\nor so, clips 3 soon, staples 4"
    index = TextIndex(text)
    groups = [[(2, 3, 4), (3, 4, 5)], [(2, 8, 9), (3, 9, 10)], [(2, 12, 13), (3, 13, 14)]]
    regions = [slice(*region_of(groups, number, index.lines)) for number in range(3)]
    assert [" ".join(token.text for token in index.tokens[region]) for region in regions] == [
        "red pens 2",
        "or so , clips 3 soon ,",
        "soon , staples 4",
    ]


def test_objects_that_cannot_be_told_apart_stand_in_the_way() -> None:
    name: Fields = {("name",): "pens"}
    count: Fields = {("count",): 3}
    price: Fields = {("price",): 4.5}
    items: list[list[Fields]] = [
        [name | count | price],
        [name, count | price],
        [name | count, price],
        [name, count, price],
    ]
    aligned = align([TextIndex("pens 3 4.5")] * 4, [{("lines",): one} for one in items], PLAN)
    with pytest.raises(NotExtractable, match=r"field lines: its objects can be told apart in 25% of the texts"):
        learn_boundaries(PLAN, [one for one in aligned if one is not None])
