from understudies.students.extractor.alignment import align, spans_of
from understudies.students.extractor.fields import Fields, flatten
from understudies.students.extractor.plans import AnswerPlan, FieldPlan
from understudies.students.extractor.text_index import TextIndex


def test_of_several_places_the_one_among_the_usual_neighbours_is_taken() -> None:
    calls: list[tuple[str, Fields]] = [(f"room {n} for {n + 100} guests", {("guests",): n + 100}) for n in range(20)]
    calls.append(("room 7 for 7 guests", {("guests",): 7}))
    texts, answers = [text for text, _ in calls], [answer for _, answer in calls]
    plan = AnswerPlan((FieldPlan(("guests",), "copied", "integer_plain"),))
    [*_, last] = align([TextIndex(text) for text in texts], answers, plan)
    assert last is not None
    assert last.tags == ["O", "O", "O", "B-0", "O"]


def test_a_value_that_does_not_stand_there_is_not_aligned() -> None:
    plan = AnswerPlan((FieldPlan(("a",), "copied", "text"), FieldPlan(("b",), "copied", "text")))
    answers: list[Fields] = [{("a",): "blue", ("b",): "pen"}, {("a",): "red"}, {("a",): "pen", ("b",): "pen"}]
    found = align([TextIndex("blue pen")] * 3, answers, plan)
    assert [one and one.tags for one in found] == [["B-0", "B-1"], None, None]


def test_a_stated_default_is_tagged_where_its_field_usually_stands() -> None:
    plan = AnswerPlan((FieldPlan(("count",), "copied", "integer_plain", nothing=(1,)),))
    texts = [*(f"send {n} pens by 1 pm" for n in range(2, 9)), "send 1 pens by 1 pm", "send pens by 1 pm"]
    answers = [flatten({"count": n}) for n in (*range(2, 9), 1, 1)]
    *_, stated, unstated = align([TextIndex(text) for text in texts], answers, plan)
    assert stated is not None
    assert stated.tags == ["O", "B-0", "O", "O", "O", "O"]
    assert unstated is not None
    assert set(unstated.tags) == {"O"}


def test_stated_defaults_of_objects_are_tagged() -> None:
    line = AnswerPlan(
        (FieldPlan(("name",), "copied", "text"), FieldPlan(("count",), "copied", "integer_plain", nothing=(1,)))
    )
    plan = AnswerPlan((FieldPlan(("lines",), "items", items=line),))

    def answer(pens: int, cups: int) -> Fields:
        return flatten({"lines": [{"name": "pens", "count": pens}, {"name": "cups", "count": cups}]})

    texts = [*(f"send {n} pens, {n} cups" for n in range(2, 9)), "send 1 pens, 1 cups", "send pens, 1 cups"]
    answers = [*(answer(n, n) for n in range(2, 9)), answer(1, 1), answer(1, 1)]
    *_, both, one = align([TextIndex(text) for text in texts], answers, plan)
    assert both is not None
    assert both.tags == ["O", "B-2", "B-1", "O", "B-2", "B-1"]
    assert both.items == {0: [[(2, 1, 2), (1, 2, 3)], [(2, 4, 5), (1, 5, 6)]]}
    assert one is not None
    assert one.tags == ["O", "B-1", "O", "B-2", "B-1"]
    assert one.items == {0: [[(1, 1, 2)], [(2, 3, 4), (1, 4, 5)]]}


def test_spans_that_touch_are_two() -> None:
    assert spans_of(["B-1", "I-1", "B-1", "O", "I-2", "I-2"]) == [(1, 0, 2), (1, 2, 3), (2, 4, 6)]
