import json

import pytest
from tests.support.chat_messages import assistant_message

from understudies.judge_backends.install import install_judge_backends
from understudies.judges.registry import parse_judge

install_judge_backends()
TEACHER = {
    "title": "Refund for the broken lamp",
    "price": "€ 12.50",
    "kind": "Return Item",
    "lines": [{"note": "Hello there"}],
}


@pytest.mark.parametrize(
    ("change", "agreed"),
    [
        ({}, True),
        ({"price": "12.5 €"}, True),
        ({"price": 12.5}, True),
        ({"price": "€ 13.50"}, False),
        ({"price": "$ 12.50"}, False),
        ({"price": None}, False),
        ({"kind": "return-item"}, True),
        ({"kind": "return"}, False),
        ({"title": "Refund for a broken lamp"}, True),
        ({"title": "Delivery of new chairs"}, False),
        ({"lines": [{"note": "hello there"}]}, False),
    ],
)
def test_each_field_has_its_judge_and_an_unnamed_one_stays_exact(change: dict[str, object], agreed: bool) -> None:
    judge = parse_judge("json.title=semantic, json.price=numeric, json.kind=label")
    judgement = judge.judge(
        assistant_message(json.dumps(TEACHER)), assistant_message(json.dumps({**TEACHER, **change}))
    )
    assert judgement.agreed is agreed
    assert agreed or next(iter(change)) in (judgement.why or "")


def test_a_field_inside_an_array_has_a_path_without_indices() -> None:
    judge = parse_judge("json.lines.note=label")
    other = {**TEACHER, "lines": [{"note": "HELLO there."}]}
    assert judge.judge(assistant_message(json.dumps(TEACHER)), assistant_message(json.dumps(other))).agreed
