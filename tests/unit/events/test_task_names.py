"""Names of tasks that belong to one tenant."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from understudies.events import TaskName, own_task, owner_and_base
from understudies.events.base import is_task_name

OWNERS = st.from_regex(r"\A[A-Za-z0-9_.-]{1,8}\Z")
TASKS = st.one_of(
    st.from_regex(r"\A[^\s/@\x00-\x1f][^/@\x00-\x1f]{0,20}\Z"),
    st.builds(lambda owner, task: f"{owner}:{task}", OWNERS, st.sampled_from(["triage", "a:b", ":"])),
)
NAME: TypeAdapter[str] = TypeAdapter(TaskName)


@given(OWNERS, TASKS)
def test_it_is_the_owners_and_stays_so(owner: str, task: str) -> None:
    name = own_task(owner, task)
    assert own_task(owner, name) == name
    assert owner_and_base(name)[0] == owner
    assert owner_and_base(name)[1] in (task, owner_and_base(task)[1])
    assert NAME.validate_python(name) == name


@given(OWNERS, OWNERS, TASKS, TASKS)
def test_no_name_of_another_tenant_is_the_same(one: str, other: str, task: str, others: str) -> None:
    assume(one != other)
    assert own_task(one, task) != own_task(other, others)


@pytest.mark.parametrize(
    "name", ["triage", ":triage", "acme:", "acme: triage", "a b:triage", "ä:triage", "x" * 65 + ":t"]
)
def test_a_name_that_says_no_owner_has_none(name: str) -> None:
    assert owner_and_base(name) == (None, name)


@pytest.mark.parametrize("name", ["", " triage", "a/b", "a@1", "a\nb", "x" * 201, 7])
def test_a_bad_name_is_refused_in_words(name: object) -> None:
    with pytest.raises(ValidationError, match=r"a task name has 1 to 200 characters") as refused:
        NAME.validate_python(name)
    assert "pattern" not in str(refused.value)
    assert not is_task_name(name)


def test_a_name_is_a_name_in_json_and_where_types_are_strict() -> None:
    assert NAME.validate_json('"triage"') == NAME.validate_python("triage", strict=True) == "triage"
    assert is_task_name("acme:ticket triage")
