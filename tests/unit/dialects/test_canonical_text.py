"""The canonical text of JSON is one form, and what has none is refused."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.dialects.base import InvalidRequest
from understudies.dialects.json_fields import arguments_text, encode_json, encode_json_text, parse_object_text

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(value=_values)
def test_the_text_is_what_services_write(value: Any) -> None:
    assert encode_json_text(value) == orjson.dumps(value).decode()
    assert encode_json(value) == orjson.dumps(value)


@given(value=st.dictionaries(st.text(max_size=8), _values, max_size=3))
def test_what_was_written_is_read(value: dict[str, Any]) -> None:
    assert parse_object_text(encode_json_text(value)) == orjson.loads(orjson.dumps(value))


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "\ud800", {"\ud800": 1}, nested(255), {"a": [{"b": float("nan")}]}],
    ids=["nan", "infinite", "surrogate", "surrogate key", "deep", "nan inside"],
)
def test_what_no_provider_sends_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="not to be written"):
        encode_json_text(value)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40 + 1])
def test_integers_of_any_size_keep_their_digits(number: int) -> None:
    assert encode_json_text({"a": [number]}) == f'{{"a":[{number}]}}'
    assert parse_object_text(encode_json_text({"a": number})) == {"a": number}


def test_254_levels_are_written() -> None:
    assert encode_json_text(nested(254)) == "[" * 254 + "1" + "]" * 254


@pytest.mark.parametrize("written", ["NaN", '{"a": NaN}', '{"a": Infinity}', "[1]", "{", "", '{"a": "\\ud800"}'])
def test_what_is_no_object_of_json_is_none(written: str) -> None:
    assert parse_object_text(written) is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "{}"),
        ({}, "{}"),
        ({"b": 1, "a": "é"}, '{"b":1,"a":"é"}'),
        ('{"a": 1}', '{"a": 1}'),
        ("", ""),
        ([1], "[1]"),
    ],
)
def test_arguments_are_text_as_it_came_or_compact_json(given: Any, text: str) -> None:
    assert arguments_text(given) == text
