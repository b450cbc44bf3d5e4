"""The names of tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.support.recorded import recorded

from understudies.backtest.tasks import clean_name, named
from understudies.events import TaskName, discovered_task

VALID: TypeAdapter[str] = TypeAdapter(TaskName)


def test_a_valid_name_is_kept_as_it_is() -> None:
    call = recorded(task="ticket triage (v2)")
    assert named([call]) == [call]


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [("a/b", "a-b"), ("triage@3", "triage-3"), ("  x\ny ", "x-y"), ("@/lead", "lead"), ("n" * 300, "n" * 200)],
)
def test_a_name_that_events_refuse_is_cleaned(written: str, cleaned: str) -> None:
    assert [call.task for call in named([recorded(task=written)])] == [cleaned]


@pytest.mark.parametrize("written", [None, "", "  ", "/@\n"])
def test_without_a_name_the_task_is_discovered_from_the_prompt(written: str | None) -> None:
    call = recorded(task=written, system="Sort ticket 17.")
    same = recorded(task=written, system="Sort ticket 4211.")
    other = recorded(task=written, system="Write a poem.")
    tasks = [one.task for one in named([call, same, other])]
    assert tasks[0] == tasks[1] == discovered_task(call.request)
    assert tasks[2] == discovered_task(other.request) != tasks[0]


@given(st.text(max_size=250))
def test_a_cleaned_name_is_always_valid(written: str) -> None:
    cleaned = clean_name(written)
    assert cleaned is None or VALID.validate_python(cleaned) == cleaned
    assert cleaned is None or clean_name(cleaned) == cleaned
