import json
from typing import Any

import pytest
from tests.support.orders import make_orders

from understudies.students.extractor.alignment import FieldPlan, NotExtractable, align, learn_plans, spans_of
from understudies.students.extractor.answer_form import Leaf, Path, flatten


def plans_of(calls: list[tuple[str, dict[str, Any]]]) -> dict[str, FieldPlan]:
    plans = learn_plans([text for text, _ in calls], [flatten(answer) for _, answer in calls])
    return {plan.name: plan for plan in plans}


def test_each_field_of_an_order_gets_its_way() -> None:
    orders = make_orders(200)

    answers = [flatten(json.loads(order.answer.text)) for order in orders]
    plans = {plan.name: plan for plan in learn_plans([order.request.messages[-1].text for order in orders], answers)}
    assert {name: (plan.kind, plan.reader) for name, plan in plans.items() if plan.kind == "copied"} == {
        "reference": ("copied", "text"),
        "item": ("copied", "text"),
        "quantity": ("copied", "integer_point"),
        "delivery.city": ("copied", "text"),
        "delivery.due": ("copied", "date"),
        "total": ("copied", "number_point"),
    }
    assert (plans["currency"].kind, set(plans["currency"].choices)) == ("chosen", {"EUR", "GBP", "USD"})
    assert (plans["status"].kind, plans["status"].choices) == ("constant", ("new",))
    assert plans["delivery.due"].nothing == "null"
    assert 0.6 < plans["delivery.due"].presence < 0.8


@pytest.mark.parametrize(
    ("nothing", "name"), [({}, "omitted"), ({"b": None}, "null"), ({"b": ""}, "empty"), ({"b": []}, "empty_list")]
)
def test_what_stands_for_no_value_is_learned(nothing: dict[str, Any], name: str) -> None:
    calls = [(f"x {n} y", {"a": n} | ({"b": "y"} if n % 3 == 0 else nothing)) for n in range(30)]
    assert plans_of(calls)["b"].nothing == name


def test_lists_are_learned() -> None:
    several = plans_of([(f"take {n} and {n + 50}", {"a": [n, n + 50] if n % 2 else n}) for n in range(30)])["a"]
    assert (several.kind, several.several, several.always_list) == ("copied", True, False)
    always = plans_of([(f"take {n}", {"a": [n]}) for n in range(30)])["a"]
    assert (always.several, always.always_list) == (False, True)


def test_a_field_that_needs_knowledge_stands_in_the_way_by_name() -> None:
    calls = [(f"who wrote book {n}", {"book": n, "author": {"name": f"Someone {n * 7919}"}}) for n in range(40)]
    with pytest.raises(NotExtractable, match=r"field author\.name: 0% of its values stand in the text, and 40"):
        plans_of(calls)
    with pytest.raises(NotExtractable, match="no fields"):
        learn_plans(["a"], [{}])


def test_of_several_places_the_one_among_the_usual_neighbours_is_taken() -> None:
    calls: list[tuple[str, dict[Path, Leaf]]] = [
        (f"room {n} for {n + 100} guests", {("guests",): n + 100}) for n in range(20)
    ]
    calls.append(("room 7 for 7 guests", {("guests",): 7}))
    texts, answers = [text for text, _ in calls], [answer for _, answer in calls]
    plans = [FieldPlan(("guests",), "copied", "integer_plain")]
    [*_, last] = align(texts, answers, plans)
    assert last is not None
    assert last.tags == ["O", "O", "O", "B-0", "O"]


def test_a_value_that_does_not_stand_there_is_not_aligned() -> None:
    plans = [FieldPlan(("a",), "copied", "text"), FieldPlan(("b",), "copied", "text")]
    answers: list[dict[Path, Leaf]] = [{("a",): "blue", ("b",): "pen"}, {("a",): "red"}, {("a",): "pen", ("b",): "pen"}]
    found = align(["blue pen", "blue pen", "blue pen"], answers, plans)
    assert [one and one.tags for one in found] == [["B-0", "B-1"], None, None]


def test_spans_that_touch_are_two() -> None:
    assert spans_of(["B-1", "I-1", "B-1", "O", "I-2", "I-2"]) == [(1, 0, 2), (1, 2, 3), (2, 4, 6)]


def test_a_choice_that_stands_inside_words_is_not_copied() -> None:
    calls = [(f"the thing costs {n}, a bargain", {"price": n, "grade": "ab"[n % 2]}) for n in range(60)]
    assert plans_of(calls)["grade"].kind == "chosen"


def test_keys_that_are_data_are_declined() -> None:
    with pytest.raises(NotExtractable, match="80 different fields; at most 60"):
        plans_of([(f"count {n}", {"counts": {f"name-{n}": n}}) for n in range(80)])


def test_a_key_that_is_an_object_or_null_is_declined_by_name() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"to city {n}", {"to": {"city": n} if n % 2 else None}) for n in range(40)
    ]
    with pytest.raises(NotExtractable, match="field to is an object in some answers and a value in others"):
        plans_of(calls)


def test_a_list_that_does_not_stand_in_the_text_is_declined_by_name() -> None:
    with pytest.raises(
        NotExtractable, match="field tags: 0% of its values stand in the text, and lists must be copied"
    ):
        plans_of([(f"take {n}", {"n": n, "tags": ["new"]}) for n in range(40)])
