"""What a request's body may hold."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.router.headers import BadRequest
from understudies.router.incoming import parsed, too_many

TINY = {"role": "user", "content": "x"}
DENSE = {
    "messages": b'{"role":"user","content":"x"}',
    "objects": b"{}",
    "arrays": b"[]",
    "numbers": b"1",
    "texts": b'""',
    "texts_that_end_in_a_backslash": rb'"\\"',
}


@pytest.mark.parametrize("kind", DENSE)
def test_a_body_of_very_many_values_is_refused_before_it_is_read(kind: str) -> None:
    raw = b'{"model":"m","messages":[' + b",".join([DENSE[kind]] * 200_000) + b"]}"
    with pytest.raises(BadRequest, match=r"more than 50000 values; send fewer messages"):
        parsed(raw + b"not JSON: nobody looks")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"level": "info", "path": "C:\\logs\\"}] * 40_000),
        'if (a[i]) { b[i] = {x, y}; } // \\" ' * 40_000,
        "well, yes, " * 100_000,
    ],
)
def test_what_stands_in_long_texts_does_not_count(text: str) -> None:
    body = {"model": "m", "messages": [TINY, {"role": "user", "content": text}]}
    assert parsed(orjson.dumps(body)) == body


def test_a_long_conversation_is_read() -> None:
    body = {"model": "m", "messages": [TINY] * 10_000}
    assert parsed(orjson.dumps(body)) == body


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a\\"{[,'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k\\"{[,', max_size=3), inner),
    max_leaves=30,
)


@given(VALUES, st.integers(0, 40))
def test_values_are_counted_as_they_are(value: object, limit: int) -> None:
    raw = json.dumps(value).encode() + b" " * (2 * limit + 1)
    assert too_many(raw, limit) is (marks(value) > limit)


def marks(value: object) -> int:
    """Brackets and commas of JSON without its texts."""
    if not isinstance(value, list | dict):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(marks(one) for one in inner)
