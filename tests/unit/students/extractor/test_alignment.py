from understudies.students.extractor.alignment import align, spans_of
from understudies.students.extractor.fields import Fields
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


def test_spans_that_touch_are_two() -> None:
    assert spans_of(["B-1", "I-1", "B-1", "O", "I-2", "I-2"]) == [(1, 0, 2), (1, 2, 3), (2, 4, 6)]
