import json
from typing import Any

import pytest

from understudies.students.extractor.answer_form import AnswerForm
from understudies.students.extractor.fields import flatten

ANSWERS: list[dict[str, Any]] = [
    {"name": "Zoë", "place": {"city": "Graz", "code": 8010}, "tags": ["a", "b"]},
    {"name": "Ann", "place": {"city": "Lyon", "code": None}, "tags": []},
    {"name": "Bo", "note": "late", "place": {"city": "Oslo", "code": 0}, "tags": ["c"]},
    {"name": "Cy", "place": None, "tags": [], "lines": [{"sku": "B2", "cost": {"net": 1}}, {"sku": "B3", "n": 2}]},
    {"name": "Di", "place": {}, "tags": [], "lines": [{"sku": "B2", "n": 1, "cost": {"net": 2.5}}]},
]


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
