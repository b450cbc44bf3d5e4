"""Which teacher has a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.upstream import table

from understudies.router.upstream.catalogue import TeacherCatalogue, UnknownModel
from understudies.runtime.errors import ConfigurationError

URL = "http://127.0.0.1:1/v1"


def catalogue(**models: list[str]) -> TeacherCatalogue:
    return TeacherCatalogue(table(**{name: {"base_url": URL, "models": listed} for name, listed in models.items()}))


@pytest.mark.parametrize(
    ("model", "teacher"),
    [
        ("gpt-4o", "exact"),
        ("gpt-4o-mini", "minis"),
        ("gpt-4", "gpts"),
        ("GPT-4", "rest"),
        ("o3-mini", "minis"),
        ("", "rest"),
        ("line\nbreak", "rest"),
        ("odd[1]", "odd"),
        ("odd1", "rest"),
    ],
)
def test_the_most_specific_name_wins(model: str, teacher: str) -> None:
    known = catalogue(
        rest=["*"], gpts=["gpt-*"], minis=["gpt-*-mini", "o?-mini"], exact=["gpt-4o"], odd=["odd[[]1]", "gpt-4o"]
    )
    assert known.find(model).name == teacher


def test_the_first_wins_where_two_are_the_same() -> None:
    assert catalogue(one=["gpt-*"], two=["gpt-*"]).find("gpt-4o").name == "one"


def test_an_unknown_model_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(UnknownModel, match=r"no teacher has model 'claude'; known models: o3 \(one\), gpt-\* \(one\)"):
        catalogue(one=["gpt-*", "o3"]).find("claude")


def test_only_a_teacher_that_speaks_the_api_has_a_model() -> None:
    known = TeacherCatalogue(
        table(
            chats={"base_url": URL, "models": ["claude-opus"], "apis": ["chat"]},
            messages={"base_url": URL, "models": ["claude-*"], "apis": ["messages"]},
        )
    )
    assert known.find("claude-opus", "messages").name == "messages"
    assert known.find("claude-opus").name == "chats"
    with pytest.raises(UnknownModel, match="over the responses API"):
        known.find("claude-opus", "responses")


def test_a_chain_is_the_teacher_and_its_fallbacks_in_order() -> None:
    others = {"base_url": URL, "auth": "none", "models": ["nothing"]}
    known = TeacherCatalogue(
        table(
            main={"base_url": URL, "fallback": ["b", {"teacher": "a", "model": "x"}, "main2"], "auth": "none"},
            a=others,
            b=others,
            main2={**others, "apis": ["messages"], "fallback": ["a"]},
        )
    )
    assert [(one.spec.name, one.model) for one in known.chain("gpt", "chat")] == [
        ("main", "gpt"),
        ("b", "gpt"),
        ("a", "x"),
    ]
    assert [one.spec.name for one in known.chain("gpt", "chat", "b")] == ["b"]
    assert known.chain("gpt", "chat") is known.chain("gpt", "chat")
    with pytest.raises(UnknownModel, match="no teacher is named 'z'; known teachers: main, a, b, main2"):
        known.chain("gpt", "chat", "z")


def test_what_names_no_model_goes_to_the_teacher_that_takes_any() -> None:
    assert catalogue(one=["gpt-*"], two=["x", "*"]).default().name == "two"
    assert catalogue(one=["gpt-*"], two=["x"]).default().name == "one"
    one = table(one={"base_url": URL, "apis": ["chat"]}, two={"base_url": URL, "models": ["x"], "apis": ["messages"]})
    assert TeacherCatalogue(one).default("messages").name == "two"
    assert TeacherCatalogue(one).default("responses").name == "one"


def test_a_router_without_teachers_cannot_start() -> None:
    with pytest.raises(ConfigurationError, match=r"\[teachers.NAME\]"):
        TeacherCatalogue({})


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, unique=True), st.text(max_size=8))
def test_every_name_without_a_glob_is_found_as_it_is(names: list[str], other: str) -> None:
    plain = [name for name in names if not set(name) & set("*?[")]
    known = catalogue(rest=["*"], plain=[*plain, "never"])
    assert all(known.find(name).name == "plain" for name in plain)
    assert known.find(other).name == ("plain" if other in plain else "rest") or other == "never"
