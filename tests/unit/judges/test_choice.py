import json

import pytest
from tests.support.chat_messages import assistant_message, tool_call_message

from understudies.events import Message
from understudies.judges.answer_key import answer_class
from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge

SHAPES: dict[str, list[Message]] = {
    "tool_calls": [tool_call_message(("f", json.dumps({"n": n}))) for n in range(40)],
    "json": [assistant_message(json.dumps({"n": n})) for n in range(40)],
    "numeric": [assistant_message(f"{n * 1.5}") for n in range(40)],
    "label": [assistant_message(("refund", "card arrival", "Refund.")[n % 3]) for n in range(40)],
    "exact": [assistant_message(f"Dear customer {n}, thank you.") for n in range(40)],
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
    assert choose_judge([assistant_message(f'```json\n{{"n": {n}}}\n```') for n in range(20)]).name == "json"


def test_codes_are_labels_so_that_their_classes_count() -> None:
    assert choose_judge([assistant_message(str(n % 2)) for n in range(40)]).name == "label"
    assert choose_judge([assistant_message(str(n)) for n in range(40)]).name == "numeric"


def test_numbers_with_leading_zeros_are_names() -> None:
    assert choose_judge([assistant_message(f"{n:05}") for n in range(40)]).name == "exact"
    assert choose_judge([assistant_message(("007", "7", "08")[n % 3]) for n in range(40)]).name == "label"


def test_nothing_known_is_exact() -> None:
    assert choose_judge([]).name == "exact"
    assert choose_judge([assistant_message("yes")]).name == "exact"


def test_case_counts_where_labels_differ_by_it_alone() -> None:
    assert choose_judge([assistant_message(("kB", "KB", "MB")[n % 3]) for n in range(40)]).name == "label[cased]"
    assert choose_judge([assistant_message(("MB", "mb.")[n % 2]) for n in range(40)]).name == "label"


def test_numbers_are_mixed_where_both_forms_occur_at_the_same_place() -> None:
    def chosen(*forms: str) -> str:
        return choose_judge([assistant_message(forms[n % len(forms)] % n) for n in range(40)]).name

    assert chosen('{"n": %d}', '{"n": "%d"}') == "json[mixed:n]"
    assert chosen('{"a": [{"n": %d}], "m": "x"}', '{"m": 1, "a": [{"n": "%d"}]}') == "json[mixed:a.n]"
    assert chosen('{"n": %d, "m": "1"}', '{"n": 7%d, "m": "2"}') == "json"
    assert chosen('{"n": true, "m": %d}', '{"n": "1", "m": %d}') == "json"
    assert chosen('{"n": %d}', '{"n": "no. %d"}') == "json"
    assert chosen('{"order no": %d}', '{"order no": "%d"}') == "json[mixed:order no]"
    assert chosen('{"a.b": %d}', '{"a.b": "%d"}') == "json"


def test_a_slip_does_not_make_numbers_mixed() -> None:
    assert (
        choose_judge([assistant_message('{"n": "1"}'), *(assistant_message(f'{{"n": {n}}}') for n in range(40))]).name
        == "json"
    )


def test_numbers_are_mixed_in_the_arguments_of_the_tool_that_mixes_them() -> None:
    answers = [tool_call_message(("f", f'{{"n": {n}}}'), ("g", '{"n": 1}')) for n in range(20)]
    assert (
        choose_judge([*answers, *(tool_call_message(("f", f'{{"n": "{n}"}}')) for n in range(20))]).name
        == "tool_calls[mixed:f.n]"
    )
    assert (
        choose_judge([*answers, *(tool_call_message(("h", f'{{"n": "{n}"}}')) for n in range(20))]).name == "tool_calls"
    )


def test_answers_of_a_closed_set_have_a_class() -> None:
    label, value, tools = parse_judge("label"), parse_judge("json"), parse_judge("tool_calls")
    assert answer_class(assistant_message(" Card_Arrival."), label) == "card arrival"
    assert answer_class(assistant_message('{"b": 1.0, "a": "x"}'), value) == '{"a":"x","b":1}'
    assert answer_class(tool_call_message(("f", "{}"), ("g", "{}")), tools) == "f,g"
    assert answer_class(assistant_message("Refund - " + "because " * 50), parse_judge("label[before:dash]")) == "refund"
    assert answer_class(assistant_message('{"n": "1"}'), parse_judge("json[mixed:n]")) == '{"n":1}'


def test_other_answers_have_none() -> None:
    assert answer_class(assistant_message("x" * 101), parse_judge("label")) is None
    assert answer_class(assistant_message(""), parse_judge("label")) is None
    assert answer_class(assistant_message(json.dumps({"text": "x" * 101})), parse_judge("json")) is None
    assert answer_class(assistant_message("no json"), parse_judge("json")) is None
    assert answer_class(assistant_message("yes"), parse_judge("exact")) is None
    assert answer_class(assistant_message("text"), parse_judge("tool_calls")) is None
