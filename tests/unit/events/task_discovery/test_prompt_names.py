"""Names of tasks that are discovered from their system prompts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from understudies.events import TaskName, masked
from understudies.events.task_discovery.prompt_names import name_by_words

NAMES = TypeAdapter[str](TaskName)


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        ("Extract the slots of a book rating.", "extract-slots-book-rating"),
        ("You are a helpful assistant. Extract the slots of a book rating.", "extract-slots-book-rating"),
        ("You are a triage agent", "triage-agent"),
        ("You are an expert at routing languages. 2026-01-01", "routing-languages"),
        ("The customer's ticket 4711 belongs to one of: billing, shipping, other, return, refund", None),
        ("请把用户的问题分类", "请把用户的问题分类"),
        ("你" * 90, "你" * 24),
        ("12 34", "task"),
        ("", "task"),
    ],
)
def test_a_name_says_what_the_prompt_is_about(prompt: str, slug: str | None) -> None:
    found = name_by_words(masked(prompt)).rpartition("-")[0]
    assert found == (slug or "customer-ticket-belongs-billing-shipping")


def test_prompts_that_begin_alike_have_names_of_their_own() -> None:
    alike = [f"Extract the slots of a book rating as JSON, and {word} all." for word in ("count", "sum", "sort")]
    names = {name_by_words(masked(prompt)) for prompt in alike}
    assert len(names) == 3
    assert len({name.rpartition("-")[0] for name in names}) == 1


def test_what_differs_from_call_to_call_changes_no_name() -> None:
    names = {name_by_words(masked(f"Sort mail of {day} May, run {number}.")) for day, number in ((1, 17), (30, 9))}
    assert len(names) == 1


@given(st.text())
def test_every_prompt_has_a_valid_name(prompt: str) -> None:
    name = NAMES.validate_python(name_by_words(masked(prompt)))
    assert re.fullmatch(r"\S+-[0-9a-f]{8}", name)
    assert len(name) <= 60
