import doctest
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from understudies.runtime.rules import toml_format
from understudies.runtime.rules.toml_format import header, value

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    WORDS,
    st.lists(WORDS, max_size=3),
)


@given(WORDS, VALUES)
def test_what_is_written_is_read_back(name: str, found: Any) -> None:
    assert tomllib.loads(f"{header('tasks', name)}\nit = {value(found)}") == {"tasks": {name: {"it": found}}}


def test_the_examples_hold() -> None:
    assert doctest.testmod(toml_format) == (0, 3)
