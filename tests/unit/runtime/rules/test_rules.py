from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.tenant import TenantRules

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "critical": st.booleans(),
        "min_agreement": st.floats(0.6, 0.99),
        "judge": st.sampled_from(["label", "exact", "none"]),
        "daily_budget_usd": st.sampled_from([Decimal(5), Decimal("0.25"), "none"]),
        "over_budget": st.sampled_from(["student_only", "refuse"]),
        "students": st.sampled_from([[], ["classifier"], ["triage@*"]]),
        "escalation": st.sampled_from(["teacher", "teacher_or_student", "refuse"]),
        "hold_back_tokens": st.one_of(st.just("none"), st.integers(0, 500)),
        "cache_ttl_s": st.one_of(st.just("none"), st.floats(1, 3600)),
    },
)
BUILT_IN = TaskRules().model_dump()


@given(SETTINGS, SETTINGS)
def test_each_setting_is_the_tasks_own_else_the_defaults_else_built_in(
    defaults: dict[str, Any], own: dict[str, Any]
) -> None:
    rules = Rules.model_validate({"defaults": defaults, "tasks": {"triage": own}})
    expected = {**BUILT_IN, **TaskRules(**{**defaults, **own}).model_dump()}
    assert rules.for_task("triage").model_dump() == expected
    assert rules.for_task("another") == rules.defaults == TaskRules(**defaults)


def test_none_unsets_what_the_defaults_set() -> None:
    rules = Rules.model_validate({"defaults": {"judge": "label"}, "tasks": {"letters": {"judge": "none"}}})
    assert (rules.for_task("letters").judge, rules.for_task("triage").judge) == (None, "label")


def test_rules_are_found_in_constant_time_for_a_name_that_nobody_knows() -> None:
    rules = Rules(tasks={"a": TaskRules(judge="label")})
    assert rules.for_task("nobody") is rules.defaults


def test_tasks_can_be_marked_critical_without_losing_their_rules() -> None:
    rules = Rules(tasks={"a": TaskRules(judge="label")}).with_critical(frozenset({"a", "b"}))
    assert rules.for_task("a") == TaskRules(judge="label", critical=True)
    assert rules.for_task("b").critical
    assert not rules.for_task("c").critical


def test_a_key_is_required_where_there_are_tenants_unless_the_router_says_otherwise() -> None:
    tenants = {"acme": TenantRules(keys=(key_hash(generate_key()),))}
    assert not Rules().require_key
    assert Rules(tenants=tenants).require_key
    assert not Rules(tenants=tenants, router=RouterRules(require_key=False)).require_key


KEY = key_hash(generate_key())


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"tasks": {"t": {"teacher": "b"}}}, r"tasks\.t\.teacher: no table \[teachers\.b\]; no teacher is defined"),
        (
            {"defaults": {"teacher": "b"}, "teachers": {"a": {"base_url": "http://a/v1"}}},
            r"defaults\.teacher: no table \[teachers\.b\]; defined teachers: a",
        ),
        ({"tasks": {"t": {"episode_target": 0.9}}}, r"tasks\.t\.episode_steps: is missing"),
        ({"tenants": {"a": {"keys": [KEY]}, "b": {"keys": [KEY]}}}, r"tenants\.b\.keys: contains a key of tenant 'a'"),
        ({"router": {"require_key": True}}, r"router\.require_key: no call would be accepted; add a \[tenants\.NAME\]"),
    ],
)
def test_what_does_not_fit_together_is_named(tables: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Rules.model_validate(tables)


def test_the_steps_of_an_episode_may_come_from_the_defaults() -> None:
    rules = Rules.model_validate({"defaults": {"episode_steps": 5}, "tasks": {"t": {"episode_target": 0.9}}})
    assert rules.for_task("t").agreement_per_call == pytest.approx(0.9 ** (1 / 5))


OWNING: dict[str, Any] = {
    "acme": {"keys": [], "own_tasks": True},
    "bank": {"keys": [], "own_tasks": ["loan-*"]},
    "shop": {"keys": []},
}


def test_a_tenants_own_task_follows_the_task_of_that_name_until_it_has_a_table() -> None:
    tasks = {"triage": {"judge": "label", "min_agreement": 0.98}, "acme:triage": {"min_agreement": 0.9}}
    rules = Rules.model_validate({"defaults": {"cache_ttl_s": 5}, "tasks": tasks, "tenants": OWNING})
    own = rules.for_task("acme:triage")
    assert (own.judge, own.min_agreement, own.cache_ttl_s) == ("label", 0.9, 5)
    assert rules.for_task("acme:other") == rules.defaults
    assert rules.unqualified_name("bank:loan-1") == "loan-1"
    for shared in ("bank:triage", "shop:triage", "nobody:triage", "triage"):
        assert rules.unqualified_name(shared) is None
    assert rules.for_task("shop:triage") == rules.defaults
    assert (
        Rules.model_validate({"tasks": {"loan-1": {"judge": "label"}}, "tenants": OWNING}).for_task("bank:loan-1").judge
    )


def test_what_is_critical_by_name_is_so_for_every_tenants_own() -> None:
    tasks = {"acme:refunds": {"min_agreement": 0.9}, "acme:triage": {}}
    rules = Rules.model_validate({"tasks": tasks, "tenants": OWNING}).with_critical(frozenset({"refunds", "loan-1"}))
    assert all(rules.for_task(name).critical for name in ("refunds", "acme:refunds", "bank:loan-1", "acme:loan-1"))
    assert not rules.for_task("acme:triage").critical


def test_a_tenant_with_tasks_of_its_own_has_a_name_that_can_stand_in_theirs() -> None:
    with pytest.raises(ValidationError, match=r"tenants\.a:b\.own_tasks: require a tenant name"):
        Rules.model_validate({"tenants": {"a:b": {"keys": [], "own_tasks": True}}})
    assert Rules.model_validate({"tenants": {"a:b": {"keys": []}}}).tenants


def test_students_of_an_own_task_are_allowed_as_those_of_the_task_are() -> None:
    rules = TaskRules(students=("triage@*",))
    assert rules.allows_student("acme:triage@3")
    assert not rules.allows_student("acme:other@3")


def test_redaction_is_checked_where_it_is_set() -> None:
    rules = Rules.model_validate({"router": {"redact_packs": ["passwords"], "redact_patterns": {"STAFF": r"E-\d+"}}})
    assert rules.router.redact_packs == ("passwords",)
    for wrong in ({"redact_packs": ["passports"]}, {"redact_patterns": {"STAFF": "("}}, {"redact_patterns": {"X": ""}}):
        with pytest.raises(ValidationError, match=r"redact_"):
            Rules.model_validate({"router": wrong})


@pytest.mark.parametrize(
    ("own", "require_key", "sharing"),
    [
        ({"acme": {}, "bolt": {}}, None, "acme, bolt"),
        ({"acme": {}, "bolt": {"own_tasks": True}}, None, "acme"),
        ({"acme": {"own_tasks": False}, "bolt": {"own_tasks": ["triage"]}}, None, None),
        ({"acme": {}}, None, None),
        ({"acme": {}}, False, "acme"),
        ({}, None, None),
    ],
)
def test_tenants_that_share_their_tasks_unsaid_are_named(
    own: dict[str, Any], require_key: bool | None, sharing: str | None
) -> None:
    tenants = {name: {"keys": [], **fields} for name, fields in own.items()}
    told = Rules.model_validate({"tenants": tenants, "router": {"require_key": require_key}}).describe_sharing()
    assert told is None if sharing is None else told is not None and told.startswith(f"tenants {sharing} share")
