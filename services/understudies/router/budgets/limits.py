"""Define the budgets by task and by tenant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, Self

from understudies.router.budgets.units import to_nanos
from understudies.runtime.rules.router import OnlineUnavailableRule
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import OverBudgetRule

BudgetScope = Literal["task", "tenant"]

UnknownUsageAction = Literal["allow", "student_only", "refuse"]
"""What to do with a call that has a budget while the usage is unknown.

`student_only`, the default, is safe: it spends no teacher's money that a budget may no longer allow, and still answers
the calls that a student can. `allow` continues by what this process knows: the spending of all processes as of the last
report, and its own since.
"""

_ACTION_BY_RULE: Final[Mapping[OnlineUnavailableRule | None, UnknownUsageAction]] = {
    None: "student_only",
    "student_only": "student_only",
    "serve": "allow",
    "refuse": "refuse",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """The limit for a day (UTC), and what to do with calls beyond it; without an amount there is no limit."""

    daily_usd: Decimal | None = None
    over_budget: OverBudgetRule = "student_only"

    def __post_init__(self) -> None:
        if self.daily_usd is not None and to_nanos(self.daily_usd) == 0:
            raise ValueError(f"a budget must be greater than zero, got {self.daily_usd!r}")


@dataclass(frozen=True, slots=True)
class ApplicableBudget:
    """A budget that applies to one call: that of its task or its tenant."""

    scope: BudgetScope
    name: str
    nanos: int
    over_budget: OverBudgetRule


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """All budgets; each task that is not listed has the default one for itself."""

    tasks: Mapping[str, Budget] = field(default_factory=dict)
    default_task: Budget = field(default_factory=Budget)
    tenants: Mapping[str, Budget] = field(default_factory=dict)
    on_unknown_usage: UnknownUsageAction = "student_only"
    base_of: Callable[[str], str | None] = field(default=lambda _: None, compare=False)
    """Return the base name of a tenant-qualified task, whose budget it uses separately; None for other tasks."""

    @classmethod
    def from_rules(cls, rules: Rules) -> Self:
        """Read the budgets of `understudies.toml`."""
        return cls(
            {name: Budget(task.daily_budget_usd, task.over_budget) for name, task in rules.tasks.items()},
            Budget(rules.defaults.daily_budget_usd, rules.defaults.over_budget),
            {name: Budget(tenant.daily_budget_usd, tenant.over_budget) for name, tenant in rules.tenants.items()},
            _ACTION_BY_RULE[rules.router.when_online_away],
            rules.unqualified_name,
        )

    def applicable(self, tenant: str, task: str) -> tuple[ApplicableBudget, ...]:
        """Return the budgets that apply to a call; empty if there are none."""
        candidates: tuple[tuple[BudgetScope, str, Budget | None], ...] = (
            ("task", task, self._task_budget(task)),
            ("tenant", tenant, self.tenants.get(tenant)),
        )
        return tuple(
            ApplicableBudget(scope, name, to_nanos(budget.daily_usd), budget.over_budget)
            for scope, name, budget in candidates
            if budget is not None and budget.daily_usd is not None
        )

    def _task_budget(self, task: str) -> Budget:
        budget = self.tasks.get(task)
        if budget is not None:
            return budget
        return self.tasks.get(self.base_of(task) or task, self.default_task)
