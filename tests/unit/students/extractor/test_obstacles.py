from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.students.extractor.obstacles import NotExtractable, Obstacle, form_of, is_prose


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("Ünal 47-b", "text Xxxx 00-x"),
        ("a\n\tb", "text x x"),
        ("z" * 25, "text of about 20 characters"),
        (-12.5, "number -00.0"),
        (0.1234567890123, "number of 15 characters"),
        (True, "true or false"),
        (None, "null"),
        (["Ana", "Bela"], "list of 2"),
        ({}, "object"),
    ],
)
def test_a_value_is_shown_by_its_form(value: Any, form: str) -> None:
    assert form_of(value) == form


@given(st.text(max_size=300) | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_form_is_short_and_has_no_letter_or_digit_of_its_value(value: Any) -> None:
    form = form_of(value)
    assert len(form) <= 40
    if "characters" not in form:
        assert {sign for sign in form.partition(" ")[2] if sign.isalnum()} <= set("xX0")


def test_prose_has_many_words() -> None:
    assert is_prose(["the customer wants his money back soon", "he asks for another size of the shoes"])
    assert not is_prose(["New York", "the customer wants his money back soon", "Graz"])
    assert not is_prose([1, 2])


def test_the_fields_that_block_most_come_first() -> None:
    obstacles = [Obstacle(name, blocked, "why") for name, blocked in (("a", 0.1), ("b", 0.9), ("c", 0.5))]
    assert str(NotExtractable.by_obstacles(obstacles)) == (
        "field b: why, in 90% of the answers; field c: why, in 50% of the answers; field a: why, in 10% of the answers"
    )


def test_a_handful_of_fields_is_named() -> None:
    error = NotExtractable.by_obstacles([Obstacle(f"f{n}", 1.0, "why") for n in range(9)])
    assert str(error).count("field f") == 5
    assert str(error).endswith("; 4 more fields")
