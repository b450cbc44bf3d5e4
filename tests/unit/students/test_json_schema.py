"""Schemas that callers send: checked in full, and never at more cost than a call is worth."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.students.json_schema import is_supported, is_valid


def nested(levels: int, inside: Any, key: str = "a") -> Any:
    for _ in range(levels):
        inside = {key: inside}
    return inside


def doubling(levels: int) -> dict[str, Any]:
    """Each definition asks for the next twice: 2 to the power of `levels` steps."""
    definitions = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {"type": "integer"}}}


DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TREE = {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"}
STEPS = {
    "anyOf": [
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "maxProperties": 4},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "maxProperties": 5},
    ]
}


@pytest.mark.parametrize(
    ("schema", "value", "fit"),
    [
        (None, 1, True),
        (True, 1, True),
        (False, 1, False),
        ({}, None, True),
        ({"minimum": 3}, 2, False),
        ({"pattern": "^[A-Z]{2}$"}, "DE", True),
        ({"pattern": "^[A-Z]{2}$"}, "DEU", False),
        ({"format": "date"}, "2026-02-30", False),
        ({"format": "email"}, "nobody", False),
        ({"format": "unheard-of"}, "x", True),
        ({"oneOf": [{"type": "string"}, {"const": "x"}]}, "x", False),
        ({"items": {"type": "integer"}, "minItems": 1}, [], False),
        ({"type": "integer"}, 3.0, True),
        ({"$schema": DRAFT_7, "definitions": {"a": {}}, "$ref": "#/definitions/a"}, 1, True),
        (TREE, {"next": {"next": {}}}, True),
        (TREE, {"next": {"next": 3}}, False),
        ({"allOf": [{"type": "object"}, {"$ref": "#/allOf/0"}]}, {}, True),
    ],
)
def test_a_value_fits_or_does_not(schema: Any, value: Any, fit: bool) -> None:
    assert is_supported(schema)
    assert is_valid(value, schema) is fit


@pytest.mark.parametrize(
    "schema",
    [
        3,
        "object",
        {"type": "people"},
        {"minLength": -1},
        {"pattern": "("},
        {"$schema": "https://schemas.example/mine"},
        {"$ref": "https://schemas.example/person"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "person.json"},
        {"$ref": "#/$defs/gone"},
        {"$ref": "#/allOf/7", "allOf": [{}]},
        {"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}},
        {"$defs": {"a": {"$id": "https://schemas.example/a"}}},
        {1: "no JSON"},
        {"const": object()},
    ],
)
def test_a_schema_that_cannot_be_checked_is_fitted_by_nothing(schema: Any) -> None:
    assert not is_supported(schema)
    assert not is_valid({}, schema)


@pytest.mark.parametrize(
    "schema",
    [
        doubling(30),
        nested(100, {}, "not"),
        nested(5000, {}, "not"),
        {"pattern": "(a{1000}){1000}"},
        {"pattern": r"^(a)\1$"},
        {"allOf": [{"pattern": f"^{i}+$"} for i in range(100)]},
        {"patternProperties": {f"^{i}+$": {} for i in range(100)}},
        {"description": "x" * 100_000},
        {"enum": [[i] * 100 for i in range(1000)]},
    ],
    ids=lambda schema: next(iter(schema)),
)
def test_a_schema_that_would_cost_too_much_is_refused(schema: Any) -> None:
    assert not is_supported(schema)


@pytest.mark.parametrize(
    ("schema", "value", "fit"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 50_000 + "!", False),
        ({"$ref": "#"}, {"a": 1}, True),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, 1, True),
        ({"not": {"$ref": "#"}}, 1, False),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1, True),
        (TREE, nested(900, {}, "next"), True),
        (STEPS, nested(60, 1), False),
        ({"uniqueItems": True}, [[i] for i in range(20_000)], True),
    ],
)
def test_hostile_schemas_and_values_are_checked_quickly(schema: Any, value: Any, fit: bool) -> None:
    """None of these ends, or ends within hours, where it is checked by trying all ways."""
    assert is_valid(value, schema) is fit


def test_a_schema_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    real = jsonschema_rs.validator_for

    def counted(schema: Any, **options: Any) -> Any:
        compiled.append(schema)
        return real(schema, **options)

    monkeypatch.setattr(jsonschema_rs, "validator_for", counted)
    for number in range(5):
        assert is_valid({"seats": number}, {"properties": {"seats": {"type": "integer", "title": "only of this test"}}})
    assert len(compiled) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["#", "#/a", "a", "object", "(", "string"]),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["$ref", "$id", "type", "properties", "a", "anyOf", "pattern", "$defs", "required", "$anchor"]
            ),
            inside,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(schema=JSON, value=JSON)
def test_nothing_is_raised_whatever_is_given(schema: Any, value: Any) -> None:
    assert isinstance(is_valid(value, schema), bool)
    assert is_supported(schema) or not is_valid(value, schema)
