import pytest

from understudies.students.extractor.readers import Scalar
from understudies.students.extractor.text_index import TextIndex

TEXT = "Pens: 1,250 or 1250.5,\nnot pensive, by 3.4.2026. PENS"


@pytest.mark.parametrize(
    ("reader", "value", "places"),
    [
        ("text", "Pens", ["Pens"]),
        ("lower", "pens", ["Pens", "PENS"]),
        ("text", "Pen", []),
        ("integer_point", 1250, ["1,250"]),
        ("integer_point", 1250.0, ["1,250"]),
        ("integer_point", "1250", []),
        ("integer_point", True, []),
        ("number_point", 1250.5, ["1250.5"]),
        ("fixed_2_point", "1250.50", ["1250.5"]),
        ("date", "2026-04-03", ["3.4.2026"]),
        ("date", None, []),
    ],
)
def test_values_are_found_in_whole_tokens(reader: str, value: Scalar, places: list[str]) -> None:
    index = TextIndex(TEXT)
    for _ in range(2):
        spans = index.find(reader, value)
        found = [TEXT[index.tokens[first].start : index.tokens[end - 1].end] for first, end in spans]
        assert found == places, "what is remembered is what was found"


def test_each_token_has_its_line() -> None:
    assert TextIndex("a b\n\nc\n").lines == [0, 0, 2]
