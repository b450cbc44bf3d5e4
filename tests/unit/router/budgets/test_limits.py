"""Which budgets bound a call."""

import doctest
import importlib
from decimal import Decimal
from typing import get_args

import pytest

from understudies.router.budgets.limits import ApplicableBudget, Budget, BudgetLimits, UnknownUsageAction
from understudies.runtime.rules.router import OnlineUnavailableRule, RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.tenant import TenantRules


def test_the_budgets_of_the_rules_are_taken() -> None:
    rules = Rules(
        defaults=TaskRules(daily_budget_usd=Decimal(5)),
        tasks={
            "triage": TaskRules(daily_budget_usd=Decimal("0.5"), over_budget="refuse"),
            "chat": TaskRules(daily_budget_usd=None),
        },
        tenants={"acme": TenantRules(keys=(), daily_budget_usd=Decimal(9)), "free": TenantRules(keys=())},
    )
    limits = BudgetLimits.from_rules(rules)
    assert limits.applicable("acme", "triage") == (
        ApplicableBudget("task", "triage", 500_000_000, "refuse"),
        ApplicableBudget("tenant", "acme", 9_000_000_000, "student_only"),
    )
    assert limits.applicable("free", "chat") == ()
    assert limits.applicable("nobody", "other") == (ApplicableBudget("task", "other", 5_000_000_000, "student_only"),)
    assert limits.on_unknown_usage == "student_only"


@pytest.mark.parametrize(
    ("rule", "when"),
    [(None, "student_only"), ("student_only", "student_only"), ("serve", "allow"), ("refuse", "refuse")],
)
def test_what_holds_while_redis_is_away_is_taken_from_the_rules(rule: str | None, when: str) -> None:
    rules = Rules.model_validate({"router": {"when_online_away": rule}})
    assert BudgetLimits.from_rules(rules).on_unknown_usage == when


def test_every_rule_for_when_redis_is_away_means_something() -> None:
    for rule in get_args(OnlineUnavailableRule):
        assert BudgetLimits.from_rules(Rules(router=RouterRules(when_online_away=rule))).on_unknown_usage in get_args(
            UnknownUsageAction
        )


@pytest.mark.parametrize("amount", ["0", "-1", "1e-10", "NaN", "9007200"])
def test_a_budget_that_cannot_be_kept_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"amount|greater than zero"):
        Budget(Decimal(amount))


@pytest.mark.parametrize("name", ["units", "cost_estimate"])
def test_the_examples_are_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"understudies.router.budgets.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
