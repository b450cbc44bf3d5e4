import json

import pytest
from tests.support.messages import called, said

from understudies.events import Message
from understudies.judges import JsonJudge, answer_class, choose_judge, judge_named

SHAPES: dict[str, list[Message]] = {
    "tool_calls": [called(("f", json.dumps({"n": n}))) for n in range(40)],
    "json": [said(json.dumps({"n": n})) for n in range(40)],
    "numeric": [said(f"{n * 1.5}") for n in range(40)],
    "label": [said(("refund", "card arrival", "Refund.")[n % 3]) for n in range(40)],
    "exact": [said(f"Dear customer {n}, thank you.") for n in range(40)],
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_decides(name: str) -> None:
    assert choose_judge(SHAPES[name]).name == name


@pytest.mark.parametrize("name", SHAPES)
def test_one_answer_in_twenty_may_be_otherwise(name: str) -> None:
    odd = SHAPES["exact"][0] if name != "exact" else SHAPES["json"][0]
    assert choose_judge([odd, odd, *SHAPES[name][:38]]).name == name
    assert choose_judge([odd] * 3 + SHAPES[name][:37]).name == ("label" if name == "label" else "exact")


def test_fenced_json_is_json() -> None:
    assert choose_judge([said(f'```json\n{{"n": {n}}}\n```') for n in range(20)]).name == "json"


def test_codes_are_labels_so_that_their_classes_count() -> None:
    assert choose_judge([said(str(n % 2)) for n in range(40)]).name == "label"
    assert choose_judge([said(str(n)) for n in range(40)]).name == "numeric"


def test_nothing_known_is_exact() -> None:
    assert choose_judge([]).name == "exact"
    assert choose_judge([said("yes")]).name == "exact"


def test_every_name_leads_back_to_its_judge() -> None:
    for name in ("exact", "label", "json", "numeric", "tool_calls", "tool_calls[any_order]", "json[a.b,tags]"):
        assert judge_named(name).name == name
    assert judge_named("json[tags]") == JsonJudge(frozenset({"tags"}))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no judge is named 'fuzzy'; choose one of exact, json, label, numeric"):
        judge_named("fuzzy")


def test_answers_of_a_closed_set_have_a_class() -> None:
    label, value, tools = judge_named("label"), judge_named("json"), judge_named("tool_calls")
    assert answer_class(said(" Card_Arrival."), label) == "card arrival"
    assert answer_class(said('{"b": 1.0, "a": "x"}'), value) == '{"a":"x","b":1}'
    assert answer_class(called(("f", "{}"), ("g", "{}")), tools) == "f,g"


def test_other_answers_have_none() -> None:
    assert answer_class(said("x" * 101), judge_named("label")) is None
    assert answer_class(said(""), judge_named("label")) is None
    assert answer_class(said(json.dumps({"text": "x" * 101})), judge_named("json")) is None
    assert answer_class(said("no json"), judge_named("json")) is None
    assert answer_class(said("yes"), judge_named("exact")) is None
    assert answer_class(said("text"), judge_named("tool_calls")) is None
