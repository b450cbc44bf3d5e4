from typing import Any

import pytest

from understudies.students.extractor.fields import Fields, nest
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, ObjectPlan

PLAN = AnswerPlan(
    (
        FieldPlan(("id",), "copied", "text"),
        FieldPlan(("to", "city"), "copied", "text"),
        FieldPlan(("to", "zip"), "copied", "digits", nothing=(None,), presence=0.5),
        FieldPlan(("to", "kind"), "constant", choices=("door",)),
        FieldPlan(("to", "at", "hour"), "copied", "time"),
    ),
    (ObjectPlan(("to", "at"), (None,)), ObjectPlan(("to",), ({},))),
)


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({("id",): "7"}, {"id": "7", "to": {}}),
        ({("id",): "7", ("to", "kind"): "door"}, {"id": "7", "to": {}}),
        (
            {("id",): "7", ("to", "city"): "Graz", ("to", "kind"): "door"},
            {"id": "7", "to": {"city": "Graz", "zip": None, "kind": "door", "at": None}},
        ),
        (
            {("to", "at", "hour"): "09:00", ("to", "kind"): "door"},
            {"to": {"zip": None, "kind": "door", "at": {"hour": "09:00"}}},
        ),
    ],
)
def test_objects_stand_if_any_of_their_fields_has_a_value(values: Fields, answer: dict[str, Any]) -> None:
    assert nest(PLAN.assemble(values)) == answer


@pytest.mark.parametrize(
    ("values", "lacks"),
    [
        ({("id",): "7"}, False),
        ({}, True),
        ({("id",): "7", ("to", "zip"): "8010"}, True),
        ({("id",): "7", ("to", "city"): "Graz"}, False),
        ({("id",): "7", ("to", "at", "hour"): "09:00"}, True),
    ],
)
def test_fields_of_an_object_lack_only_where_it_stands(values: Fields, lacks: bool) -> None:
    assert PLAN.lacks_value(values) is lacks


def test_fields_inside_of_lists_are_numbered_after_the_others() -> None:
    lines = AnswerPlan((FieldPlan(("sku",), "copied", "text"), FieldPlan(("n",), "copied", "integer")))
    notes = AnswerPlan((FieldPlan(("by",), "copied", "text"),))
    plan = AnswerPlan(
        (
            FieldPlan(("lines",), "items", items=lines),
            FieldPlan(("notes",), "items", items=notes),
            FieldPlan(("id",), "copied", "digits"),
        )
    )
    assert [field.name for field in plan.numbered] == ["lines", "notes", "id", "sku", "n", "by"]
    assert {number: section.first for number, section in plan.sections.items()} == {0: 3, 1: 5}
    assert plan.description == {
        "lines": "items",
        "lines[].sku": "copied as text",
        "lines[].n": "copied as integer",
        "notes": "items",
        "notes[].by": "copied as text",
        "id": "copied as digits",
    }
