import pytest
from pydantic import ValidationError

from understudies.runtime.rules.task import TaskRules
from understudies.trainer.trainers import TRAINERS


@pytest.mark.parametrize(
    ("students", "name", "kind", "allowed"),
    [
        (None, "triage@3", "lora", True),
        (None, "triage@3", None, True),
        ((), "triage@3", "lora", False),
        (("classifier",), "triage@3", "classifier", True),
        (("classifier",), "triage@3", "lora", False),
        (("classifier",), "triage@3", None, False),
        (("triage@3",), "triage@3", None, True),
        (("triage@3",), "triage@30", "lora", False),
        (("triage@*", "lora"), "triage@30", "few_shot", True),
        (("*",), "triage@30", None, True),
        (("Triage@*",), "triage@1", None, False),
    ],
)
def test_students_are_allowed_by_kind_or_by_name(
    students: tuple[str, ...] | None, name: str, kind: str | None, allowed: bool
) -> None:
    assert TaskRules(students=students).allows_student(name, kind) is allowed


def test_a_kind_that_nobody_knows_is_told_with_the_kinds_there_are() -> None:
    with pytest.raises(
        ValidationError, match=r"'clasifier' is neither a kind of student .* cache, decision, classifier, extractor"
    ):
        TaskRules(students=("clasifier",))


@pytest.mark.parametrize("kind", [factory.kind for factory in TRAINERS])
def test_every_kind_that_is_trained_can_be_allowed(kind: str) -> None:
    assert TaskRules(students=(kind,)).allows_student("triage@1", kind)


def test_an_episodes_target_asks_for_more_of_each_call_and_never_for_less() -> None:
    assert TaskRules().agreement_per_call == 0.95
    assert TaskRules(episode_target=0.9, episode_steps=5).agreement_per_call == pytest.approx(0.979, abs=0.001)
    assert TaskRules(episode_target=0.9, episode_steps=1).agreement_per_call == 0.95
    assert TaskRules(episode_steps=9).agreement_per_call == 0.95


@pytest.mark.parametrize("watch", [("tenant",), ("tags.channel",), ("tenant", "tags.a.b"), ()])
def test_groups_are_watched_by_tenant_and_by_tags(watch: tuple[str, ...]) -> None:
    assert TaskRules(watch=watch).watch == watch


def test_tenants_are_watched_unless_something_else_is_said() -> None:
    assert TaskRules().watch == ("tenant",)


@pytest.mark.parametrize("field", ["channel", "tags", "tags.", "Tenant", "", "tenant.acme"])
def test_a_field_that_cannot_be_watched_is_told_with_those_that_can(field: str) -> None:
    with pytest.raises(ValidationError, match=rf"'{field}' cannot be monitored; use 'tenant', or a tag such as"):
        TaskRules(watch=("tenant", field))
