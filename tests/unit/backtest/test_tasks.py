"""The names of tasks."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tests.support.contexts import FRENCH, REFUNDS, passage
from tests.support.recorded_calls import recorded_call

from understudies.backtest.tasks import assign_tasks
from understudies.events import TaskName, discovered_task
from understudies.importers.task_names import sanitize_task_name

VALID: TypeAdapter[str] = TypeAdapter(TaskName)


def test_a_valid_name_is_kept_as_it_is() -> None:
    call = recorded_call(task="ticket triage (v2)")
    assert assign_tasks([call]) == [call]


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [("a/b", "a-b"), ("triage@3", "triage-3"), ("  x\ny ", "x-y"), ("@/lead", "lead"), ("n" * 300, "n" * 200)],
)
def test_a_name_that_events_refuse_is_cleaned(written: str, cleaned: str) -> None:
    assert [call.task for call in assign_tasks([recorded_call(task=written)])] == [cleaned]


@pytest.mark.parametrize("written", [None, "", "  ", "/@\n"])
def test_without_a_name_the_task_is_discovered_from_the_prompt(written: str | None) -> None:
    call = recorded_call(task=written, system="Sort ticket 17.")
    same = recorded_call(task=written, system="Sort ticket 4211.")
    other = recorded_call(task=written, system="Write a poem.")
    tasks = [one.task for one in assign_tasks([call, same, other])]
    assert tasks[0] == tasks[1] == discovered_task(call.request)
    assert tasks[2] == discovered_task(other.request) != tasks[0]


def tasks(*systems: str) -> list[str | None]:
    return [one.task for one in assign_tasks([recorded_call(system=system) for system in systems])]


@pytest.mark.parametrize("prompt", ["{context} {task}", "You are Ann. {context} {task}", "{task} {context}"])
@pytest.mark.parametrize("n", [4, 600])
def test_unnamed_calls_of_one_template_are_one_task(prompt: str, n: int) -> None:
    rng = random.Random(1)
    assert len(set(tasks(*(prompt.format(task=REFUNDS, context=passage(rng, 100)) for _ in range(n))))) == 1


def test_customers_that_call_often_are_one_task_where_there_are_many() -> None:
    rng = random.Random(1)
    customers = [f"{REFUNDS} {passage(rng)}" for _ in range(30)]
    assert len(set(tasks(*customers * 20))) == 1


def test_agents_that_share_an_opening_are_tasks_of_their_own() -> None:
    rng = random.Random(2)
    mixed = [f"You are a helpful assistant. {task} {passage(rng)}" for _ in range(100) for task in (REFUNDS, FRENCH)]
    found = tasks(*mixed, *["You are a helpful assistant. Sort the mail."] * 50)
    assert [len(set(part)) for part in (found[:200:2], found[1:200:2], found[200:])] == [1, 1, 1]
    assert len(set(found)) == 3


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_a_log_changes_no_task(order: random.Random) -> None:
    rng = random.Random(3)
    systems = [f"{task} {passage(rng, 40)}" for _ in range(12) for task in (REFUNDS, FRENCH)]
    expected = dict(zip(systems, tasks(*systems), strict=True))
    shuffled = order.sample(systems, len(systems))
    assert tasks(*shuffled) == [expected[system] for system in shuffled]


@given(st.text(max_size=250))
@example("\x1b\x85\x1f0")
@example("a" * 199 + "/b")
def test_a_cleaned_name_is_always_valid(written: str) -> None:
    cleaned = sanitize_task_name(written)
    assert cleaned is None or VALID.validate_python(cleaned) == cleaned
    assert cleaned is None or sanitize_task_name(cleaned) == cleaned
