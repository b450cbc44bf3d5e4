"""How many tasks calls may bring up."""

import pytest

from understudies.router.endpoints.task_limit import TaskLimit


def test_further_names_are_one_too_many_and_earlier_ones_stay() -> None:
    limit = TaskLimit(2, lambda task: False)
    assert [limit.admits(task) for task in ("a", "b", "a", "c", "b", "d", "c")] == [
        True, True, True, False, True, False, False,
    ]  # fmt: skip


def test_known_tasks_take_no_place() -> None:
    known = {"ruled", "served"}
    limit = TaskLimit(1, known.__contains__)
    assert [limit.admits(task) for task in ("ruled", "served", "a", "b")] == [True, True, True, False]
    known.add("b")
    assert limit.admits("b")


def test_the_operator_is_told_once_and_how_to_help(caplog: pytest.LogCaptureFixture) -> None:
    limit = TaskLimit(1, lambda task: False)
    for number in range(50):
        limit.admits(f"call-{number}")
    [record] = caplog.records
    assert "UNDERSTUDIES_ROUTER_MAX_TASKS" in record.getMessage()
    assert "'call-1'" in record.getMessage()


def test_each_tenant_has_places_of_its_own_and_a_shared_task_takes_one() -> None:
    limit = TaskLimit(1, lambda task: False)
    assert limit.admits("shared", "acme")
    assert not limit.admits("more", "acme")
    assert limit.admits("shared", "bank")
    assert limit.admits("more", "bank")
    assert limit.admits("more", "acme")
