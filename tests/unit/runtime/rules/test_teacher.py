"""Teachers as they are written in understudies.toml."""

import tomllib
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from understudies.economics.prices import Price
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.teacher import Fallback, TeacherSpec, TeacherTable, load_api_keys


class Document(BaseModel):
    teachers: TeacherTable


def written(text: str) -> dict[str, TeacherSpec]:
    return Document.model_validate(tomllib.loads(text)).teachers


def one(**fields: Any) -> TeacherSpec:
    return Document.model_validate({"teachers": {"one": {"base_url": "https://h/v1", **fields}}}).teachers["one"]


def test_a_table_is_read_with_names_and_fallbacks() -> None:
    teachers = written(
        """
        [teachers.openai]
        base_url = "https://api.openai.com/v1/"
        models = ["gpt-*", "o3"]
        api_key_env = "OPENAI_API_KEY"
        fallback = ["near", { teacher = "openai", model = "gpt-4o-mini" }]
        retries = { max = 5 }
        [teachers.near]
        base_url = "http://gpu:8000/v1"
        auth = "none"
        price_per_mtok = { input = 0.1, output = 0.4 }
        timeouts.first_byte_s = 20
        """
    )
    openai, near = teachers["openai"], teachers["near"]
    assert (openai.name, openai.base_url, openai.has_own_key) == ("openai", "https://api.openai.com/v1", True)
    assert openai.fallback == (Fallback(teacher="near"), Fallback(teacher="openai", model="gpt-4o-mini"))
    assert (openai.retries.max, openai.retries.base_s) == (5, 0.5)
    assert (near.name, near.has_own_key, near.timeouts.first_byte_s) == ("near", False, 20)
    assert near.price == Price(Decimal("0.1"), Decimal("0.4"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base_url": "ftp://h/v1"}, "not an http"),
        ({"base_url": "api.openai.com/v1"}, "not an http"),
        ({"base_url": "https://user:secret@h/v1"}, "api_key_env"),
        ({"base_url": "https://h/v1?key=1"}, "must not have a user, query"),
        ({"models": []}, "models"),
        ({"auth": "basic"}, "auth"),
        ({"moo": 1}, "moo"),
        ({"price_usd": -1}, "price_usd"),
        ({"price_usd": 1, "price_per_mtok": {"input": 1, "output": 1}}, "mutually exclusive"),
        ({"timeouts": {"idle_s": 0}}, "idle_s"),
        ({"retries": {"max": 1000}}, "max"),
        ({"breaker": {"failure_share": 0}}, "failure_share"),
        ({"fallback": ["two"]}, r"no teacher 'two'; defined teachers: \['one'\]"),
        ({"fallback": ["one"]}, "with another model"),
    ],
)
def test_what_cannot_work_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        one(**fields)


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ({}, {}, True),
        ({}, {"base_url": "https://h:443/v1/other"}, True),
        ({}, {"base_url": "https://elsewhere/v1"}, False),
        ({}, {"base_url": "http://h/v1"}, False),
        ({}, {"base_url": "https://elsewhere/v1", "api_key_env": "K"}, True),
        ({}, {"base_url": "https://elsewhere/v1", "auth": "none"}, True),
        ({"api_key_env": "K"}, {}, False),
    ],
)
def test_a_callers_key_falls_back_to_nobody_else(first: dict[str, Any], second: dict[str, Any], fits: bool) -> None:
    teachers = {
        "one": {"base_url": "https://h/v1", "fallback": ["two"], **first},
        "two": {"base_url": "https://h/v1", **second},
    }
    if fits:
        Document.model_validate({"teachers": teachers})
    else:
        with pytest.raises(ValidationError, match="would receive the caller's key"):
            Document.model_validate({"teachers": teachers})


def test_keys_come_from_the_environment_and_are_not_shown() -> None:
    (spec,) = load_api_keys({"one": one(api_key_env="ONES_KEY")}, {"ONES_KEY": " sk-secret\n"}).values()
    assert spec.api_key is not None
    assert spec.api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(spec)
    assert "sk-secret" not in spec.model_dump_json()


@pytest.mark.parametrize("environ", [{}, {"ONES_KEY": " "}])
def test_a_key_that_is_not_set_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"teacher 'one' reads its key from ONES_KEY, which is not set"):
        load_api_keys({"one": one(api_key_env="ONES_KEY")}, environ)


def test_teachers_without_a_key_need_none() -> None:
    assert load_api_keys({"one": one(auth="none")}, {})["one"].api_key is None
