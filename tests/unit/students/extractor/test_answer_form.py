import json
from typing import Any

import pytest

from understudies.students.extractor.answer_form import AnswerForm, UnsupportedForm, flatten

ANSWERS: list[dict[str, Any]] = [
    {"name": "Zoë", "place": {"city": "Graz", "code": 8010}, "tags": ["a", "b"]},
    {"name": "Ann", "place": {"city": "Lyon", "code": None}, "tags": []},
    {"name": "Bo", "note": "late", "place": {"city": "Oslo", "code": 0}, "tags": ["c"]},
]


def test_an_object_is_taken_apart_through_nested_ones() -> None:
    assert flatten(ANSWERS[0]) == {
        ("name",): "Zoë",
        ("place", "city"): "Graz",
        ("place", "code"): 8010,
        ("tags",): ["a", "b"],
    }


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1], "not an object"),
        ("text", "not an object"),
        ({"a": [{"b": 1}]}, "a is a list of objects"),
        ({"a": {"b": [[1]]}}, r"a\.b is a list of objects"),
        ({"a": {}}, "a is an empty object"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}, "nests too deeply"),
        ({str(n): n for n in range(61)}, "more than 60 fields"),
        ({"a": {"b": float("inf")}}, r"a\.b is no finite number"),
        ({"a": "\ud83d"}, "a is no Unicode text"),
    ],
)
def test_other_forms_are_refused_by_name(value: Any, why: str) -> None:
    with pytest.raises(UnsupportedForm, match=why):
        flatten(value)


@pytest.mark.parametrize("fence", [None, "", "json"])
@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("options", [{}, {"separators": (",", ":")}, {"indent": 2}, {"indent": 4}])
def test_an_answer_is_written_as_the_teacher_writes(options: dict[str, Any], escaped: bool, fence: str | None) -> None:
    texts = [json.dumps(answer, ensure_ascii=escaped, **options) for answer in ANSWERS]
    texts = [text if fence is None else f"```{fence}\n{text}\n```" for text in texts]
    fields = [flatten(answer) for answer in ANSWERS]
    form = AnswerForm.learn(texts, dict.fromkeys(path for answer in fields for path in answer))
    assert [form.write(dict(reversed(answer.items()))) for answer in fields] == texts


def test_an_optional_field_stands_where_it_stood() -> None:
    texts = [json.dumps(answer) for answer in ANSWERS]
    form = AnswerForm.learn(texts, [])
    assert form.order.index(("note",)) == 1
