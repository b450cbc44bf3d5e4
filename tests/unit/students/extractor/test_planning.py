import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.orders import make_orders

from understudies.students.extractor.fields import Fields, flatten
from understudies.students.extractor.obstacles import NotExtractable
from understudies.students.extractor.planning import learn_plan
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, ObjectPlan
from understudies.students.extractor.text_index import TextIndex


def plan_of(texts: Sequence[str], answers: Sequence[Fields]) -> AnswerPlan:
    return learn_plan([TextIndex(text) for text in texts], answers)


def plans_of(calls: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, FieldPlan]:
    plan = plan_of([text for text, _ in calls], [flatten(answer) for _, answer in calls])
    return {field.name: field for field in plan.fields}


def test_each_field_of_an_order_gets_its_way() -> None:
    orders = make_orders(200)

    answers = [flatten(json.loads(order.answer.text)) for order in orders]
    plans = {plan.name: plan for plan in plan_of([order.request.messages[-1].text for order in orders], answers).fields}
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
    assert plans["delivery.due"].nothing == (None,)
    assert 0.6 < plans["delivery.due"].presence < 0.8


@pytest.mark.parametrize(
    ("given", "nothing"), [({}, ()), ({"b": None}, (None,)), ({"b": ""}, ("",)), ({"b": []}, ([],)), ({"b": {}}, ({},))]
)
def test_what_stands_for_no_value_is_learned(given: dict[str, Any], nothing: tuple[Any, ...]) -> None:
    calls = [(f"x {n} y", {"a": n} | ({"b": "y"} if n % 3 == 0 else given)) for n in range(30)]
    assert plans_of(calls)["b"].nothing == nothing


def test_a_placeholder_is_learned_as_no_value() -> None:
    calls = [(f"call me {n * 37}" if n % 3 else "hi", {"phone": n * 37 if n % 3 else "unknown"}) for n in range(60)]
    plan = plans_of(calls)["phone"]
    assert (plan.kind, plan.nothing, round(plan.presence, 2)) == ("copied", ("unknown",), 0.67)


def test_a_default_is_learned_as_no_value() -> None:
    calls = [(f"{n % 20} pens" if n % 3 else "pens", {"count": n % 20 if n % 3 else 1}) for n in range(120)]
    plan = plans_of(calls)["count"]
    assert (plan.kind, plan.nothing) == ("copied", (1,))


def test_a_class_whose_name_stands_in_the_text_is_chosen() -> None:
    names = ["refund", "exchange", "other"]
    calls = [
        (f"{f'{names[n % 3]} please' if n % 3 < 2 else 'I wonder'} {n}", {"n": n, "kind": names[n % 3]})
        for n in range(90)
    ]
    assert plans_of(calls)["kind"].kind == "chosen"


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
        learn_plan([TextIndex("a")], [{}])


def test_a_choice_that_stands_inside_words_is_not_copied() -> None:
    calls = [(f"the thing costs {n}, a bargain", {"price": n, "grade": "ab"[n % 2]}) for n in range(60)]
    assert plans_of(calls)["grade"].kind == "chosen"


def test_keys_that_are_data_are_declined() -> None:
    with pytest.raises(NotExtractable, match="80 different fields; at most 60"):
        plans_of([(f"count {n}", {"counts": {f"name-{n}": n}}) for n in range(80)])


@pytest.mark.parametrize(
    ("given", "nothing"), [({}, ()), ({"to": None}, (None,)), ({"to": {}}, ({},)), ({"to": "pick-up"}, ("pick-up",))]
)
def test_what_stands_for_an_object_is_learned(given: dict[str, Any], nothing: tuple[Any, ...]) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [(f"order {n}", {"n": n} | given) for n in range(0, 60, 3)]
    calls += [(f"order {n} to room {n + 70}", {"n": n, "to": {"room": n + 70}}) for n in range(60) if n % 3]
    plan = plan_of([text for text, _ in calls], [flatten(answer) for _, answer in calls])
    assert plan.objects == (ObjectPlan(("to",), nothing),)
    assert [(field.name, field.presence) for field in plan.fields] == [("n", 1.0), ("to.room", 1.0)]


def test_an_object_that_is_mostly_given_without_values_is_always_given() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [(f"order {n}", {"n": n, "to": {"room": None}}) for n in range(30)]
    calls += [(f"order {n} to room {n + 70}", {"n": n, "to": {"room": n + 70}}) for n in range(30)]
    calls += [("order 7", {"n": 7, "to": None})]
    assert plan_of([text for text, _ in calls], [flatten(answer) for _, answer in calls]).objects == ()


def test_an_object_of_constants_that_is_sometimes_null_is_chosen() -> None:
    calls = [(f"order {n}{' fast' * (n % 2)}", {"n": n, "by": {"air": True} if n % 2 else None}) for n in range(40)]
    assert plans_of(calls)["by.air"].kind == "chosen"


def test_a_field_that_is_an_object_or_a_value_is_declined_by_name() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"order {n} to {n + 70}", {"n": n, "to": {"room": n + 70} if n % 3 else f"room {n}"}) for n in range(60)
    ]
    with pytest.raises(NotExtractable, match="field to: an object in some answers and a value in others"):
        plans_of(calls)


def test_a_list_that_never_differs_is_constant() -> None:
    plan = plans_of([(f"take {n}", {"n": n, "tags": ["new", "b2b"]}) for n in range(40)])["tags"]
    assert (plan.kind, plan.choices) == ("constant", (["new", "b2b"],))


def test_a_few_lists_are_chosen_whole() -> None:
    lists = [["fast", "paid"], ["paid"], []]
    plan = plans_of([(f"take {n}", {"n": n, "tags": lists[n % 3]}) for n in range(60)])["tags"]
    assert (plan.kind, plan.choices, plan.nothing) == ("chosen", (["fast", "paid"], ["paid"]), ([],))


def test_many_lists_of_few_values_are_labels_in_their_order() -> None:
    names = ["urgent", "refund", "damaged", "late", "vip"]
    lists = [[name for bit, name in enumerate(names) if n >> bit & 1] for n in range(32)]
    plan = plans_of([(f"take {n}", {"n": n, "tags": lists[n % 32]}) for n in range(128)])["tags"]
    assert (plan.kind, plan.choices, plan.always_list) == ("multi_label", tuple(names), True)


def test_a_list_of_anything_is_declined_by_name() -> None:
    calls = [(f"take {n}", {"n": n, "tags": [f"tag {n * 7919}", "new"]}) for n in range(40)]
    with pytest.raises(NotExtractable, match=r"field tags: 0% of its values.*40 different values are no closed set"):
        plans_of(calls)


def test_all_fields_in_the_way_are_named_with_their_forms_and_no_value() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        (
            f"case {n}",
            {
                "n": n,
                "code": f"QX-{n * 7919 % 9000 + 1000}",
                "summary": f"The customer of case {n} wants his money back soon",
                "score": n * 31 % 997 / 8 if n % 2 else None,
            },
        )
        for n in range(60)
    ]
    with pytest.raises(NotExtractable) as caught:
        plans_of(calls)
    reasons = str(caught.value).split("; ")
    assert reasons[-1].startswith("field score: "), "what blocks the fewest answers comes last"
    assert reasons[-1].endswith("in 50% of the answers")
    code, summary = sorted(reasons[:2])
    assert code == (
        "field code: 0% of its values stand in the text, and 60 different values are no closed set (such as "
        "text XX-0000), in 100% of the answers"
    )
    assert summary == (
        "field summary: free-form text, 0% of its values stand in the text (such as text of about 50 characters), "
        "in 100% of the answers"
    )


def test_the_objects_of_a_list_have_a_plan_of_their_own() -> None:
    def order(n: int) -> tuple[str, dict[str, Any]]:
        names = [f"part {(n + i) * 37}" for i in range(1 + n % 3)]
        lines = [{"name": name, "size": "XL", "to": {"shelf": n}} for name in names]
        return f"shelf {n}: {', '.join(names)}", {"lines": lines}

    [lines] = plans_of([order(n) for n in range(100, 160)]).values()
    assert lines.kind == "items"
    assert lines.items is not None
    assert lines.items.description == {
        "name": "copied as text",
        "size": "constant",
        "to.shelf": "copied as integer_plain",
    }


def test_fields_of_objects_stand_in_the_way_by_name() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"parts {n} and {n + 50}", {"lines": [{"part": n, "mood": f"m{n * 31}"}]}) for n in range(40)
    ]
    with pytest.raises(NotExtractable, match=r"field lines\[\]\.mood: 0% of its values stand in the text"):
        plans_of(calls)
    mixed: list[tuple[str, dict[str, Any]]] = [
        (f"part {n}", {"lines": [{"part": n}] if n % 2 else [n]}) for n in range(40)
    ]
    with pytest.raises(NotExtractable, match="field lines: a list of objects in some answers and another value in ot"):
        plans_of(mixed)
    guessed: list[tuple[str, dict[str, Any]]] = [
        (f"case {n}", {"lines": [{"kind": n * 7 % 31 > bit} for bit in range(5)]}) for n in range(40)
    ]
    with pytest.raises(NotExtractable, match="field lines: no field of its objects stands in the text"):
        plans_of(guessed)


def test_a_field_that_stands_where_another_stands_is_derived_from_it() -> None:
    names = [("Ana", "Novak"), ("Bela", "Meier"), ("Carl", "Rossi"), ("Dora", "Silva"), ("Emil", "Lindt")]
    calls = [
        (f"call {first} {last}", {"name": f"{first} {last}", "first": first, "key": f"{first}-{last}".lower()})
        for first, last in names * 8
    ]
    descriptions = {name: plan.description for name, plan in plans_of(calls).items()}
    assert descriptions == {
        "name": "copied as text",
        "first": "derived: first_word(name)",
        "key": "derived: slug(name)",
    }


def test_a_count_is_derived_though_such_numbers_stand_in_the_text() -> None:
    rules = " ".join(f"Rule {n}." for n in range(1, 30))

    def order(n: int) -> tuple[str, dict[str, Any]]:
        parts = [f"P-{(n + i) * 731}" for i in range(1 + n % 5)]
        return f"{', '.join(parts)}\n{rules}", {"parts": parts, "count": len(parts)}

    assert plans_of([order(n) for n in range(60)])["count"].description == "derived: count(parts)"


def test_a_copied_number_is_checked_by_a_calculation() -> None:
    calls = [
        (f"{a} net, {a // 5} tax, {a + a // 5} in all", {"net": a, "tax": a // 5, "gross": a + a // 5})
        for a in (n * 731 for n in range(1, 60))
    ]
    assert plans_of(calls)["gross"].description == "copied as integer_plain, checked: sum(net, tax)"


def test_a_field_that_blocks_hardly_any_answer_is_left_out() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [(f"case {n}", {"n": n}) for n in range(200)]
    for number in range(4):
        calls[number][1]["note"] = f"beyond case {number * 7919}"
    assert plans_of(calls)["note"].presence == 0.0
    for number in range(6):
        calls[number][1]["note"] = f"beyond case {number * 7919}"
    with pytest.raises(NotExtractable, match=r"field note: .*, in 3% of the answers"):
        plans_of(calls)


def test_a_few_lists_of_objects_are_chosen_whole() -> None:
    steps = [[{"do": "notify"}], [{"do": "notify"}, {"do": "close", "at": "once"}]]
    chosen = plans_of([(f"case {n}", {"n": n, "steps": steps[n % 2]}) for n in range(40)])["steps"]
    assert (chosen.kind, chosen.choices) == ("chosen", tuple(steps))
    constant = plans_of([(f"case {n}", {"n": n, "steps": steps[1]}) for n in range(40)])["steps"]
    assert (constant.kind, constant.choices) == ("constant", (steps[1],))
