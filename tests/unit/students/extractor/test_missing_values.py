from understudies.students.extractor.fields import flatten
from understudies.students.extractor.missing_values import missing_values
from understudies.students.extractor.obstacles import Obstacle
from understudies.students.extractor.plans import AnswerPlan, FieldPlan
from understudies.students.extractor.text_index import TextIndex

LINES = AnswerPlan((FieldPlan(("sku",), "copied", "text"), FieldPlan(("size",), "chosen", choices=("L",))))
PLAN = AnswerPlan(
    (
        FieldPlan(("city",), "copied", "text", nothing=("unknown",)),
        FieldPlan(("codes",), "copied", "integer", several=True),
        FieldPlan(("lines",), "items", items=LINES),
    )
)


def test_fields_are_named_whose_values_do_not_stand_there() -> None:
    texts = [TextIndex(text) for text in ("to Graz: A1, B2", "to Oslo: 7, 8", "no place", "to Lyon: C3")]
    answers = [
        flatten({"city": "Graz", "lines": [{"sku": "A1", "size": "L"}, {"sku": "B9"}]}),
        flatten({"city": "Bergen", "codes": [7, 80]}),
        flatten({"city": "unknown", "lines": []}),
        flatten({"city": None, "lines": [{"sku": "C30"}, {"sku": "C31"}]}),
    ]
    why = "a value stands nowhere in the text"
    assert missing_values(texts, answers, PLAN) == [
        Obstacle("city", 0.25, why, ("text Xxxxxx",)),
        Obstacle("codes", 0.25, why, ("number 00",)),
        Obstacle("lines[].sku", 0.5, why, ("text X00", "text X0")),
    ]


def test_nothing_is_missing_where_all_stands() -> None:
    assert missing_values([TextIndex("to Graz")], [{("city",): "Graz"}], PLAN) == []
