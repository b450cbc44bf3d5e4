from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.students.extractor.fields import UnsupportedForm, flatten, nest, to_json, to_leaf


def test_an_object_is_taken_apart_through_nested_ones() -> None:
    assert flatten({"name": "Zoë", "place": {"city": "Graz", "code": 8010}, "tags": ["a", "b"]}) == {
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
        ({"a": [{"b": 1}, 2]}, "a is a list of lists, or of objects and other values"),
        ({"a": {"b": [[1]]}}, r"a\.b is a list of lists"),
        ({"a": [{"b": [{"c": 1}]}]}, "b is a list of objects inside of another"),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}, "nests too deeply"),
        ({str(n): n for n in range(61)}, "more than 60 fields"),
        ({"a": {"b": float("inf")}}, r"a\.b is no finite number"),
        ({"a": "\ud83d"}, "a is no Unicode text"),
    ],
)
def test_other_forms_are_refused_by_name(value: Any, why: str) -> None:
    with pytest.raises(UnsupportedForm, match=why):
        flatten(value)


SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab", max_size=2)
FLAT = st.dictionaries(st.text("kl", min_size=1, max_size=2), SCALARS | st.lists(SCALARS, max_size=2), max_size=3)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | FLAT | st.lists(FLAT, max_size=2)


@given(st.dictionaries(st.text("kl", min_size=1, max_size=2), VALUES, max_size=3))
def test_what_is_taken_apart_is_put_together_as_it_was(answer: dict[str, Any]) -> None:
    assert nest(flatten(answer)) == answer


@given(VALUES.filter(lambda value: not isinstance(value, dict)))
def test_the_value_of_a_field_is_json(value: Any) -> None:
    assert to_json(to_leaf(value)) == value
