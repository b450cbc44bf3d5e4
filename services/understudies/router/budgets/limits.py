"""How much may be spent, by task and by tenant."""

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
"""What becomes of a call with a budget while nobody knows what is spent.

`student_only`, the default, is the side that costs nothing to be wrong: it spends no teacher's money that a budget may
no longer allow, and goes on answering what a student can. `allow` goes on by what this process knows: what all had
spent when it last heard of them, and what it has spent itself since.
"""

_ACTION_BY_RULE: Final[Mapping[OnlineUnavailableRule | None, UnknownUsageAction]] = {
    None: "student_only",
    "student_only": "student_only",
    "serve": "allow",
    "refuse": "refuse",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in a day (UTC), and what becomes of calls once it is; without an amount there is no bound."""

    daily_usd: Decimal | None = None
    over_budget: OverBudgetRule = "student_only"

    def __post_init__(self) -> None:
        if self.daily_usd is not None and to_nanos(self.daily_usd) == 0:
            raise ValueError(f"a budget must be more than nothing, got {self.daily_usd!r}")


@dataclass(frozen=True, slots=True)
class ApplicableBudget:
    """The budget that one call meets: of its task, or of its tenant."""

    scope: BudgetScope
    name: str
    nanos: int
    over_budget: OverBudgetRule


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """All budgets there are; a task that is not named has the default one, each for itself."""

    tasks: Mapping[str, Budget] = field(default_factory=dict)
    default_task: Budget = field(default_factory=Budget)
    tenants: Mapping[str, Budget] = field(default_factory=dict)
    on_unknown_usage: UnknownUsageAction = "student_only"
    base_of: Callable[[str], str | None] = field(default=lambda _: None, compare=False)
    """How a tenant calls a task of its own, which has the budget of that name, for itself; None for other tasks."""

    @classmethod
    def from_rules(cls, rules: Rules) -> Self:
        """The budgets of `understudies.toml`."""
        return cls(
            {name: Budget(task.daily_budget_usd, task.over_budget) for name, task in rules.tasks.items()},
            Budget(rules.defaults.daily_budget_usd, rules.defaults.over_budget),
            {name: Budget(tenant.daily_budget_usd, tenant.over_budget) for name, tenant in rules.tenants.items()},
            _ACTION_BY_RULE[rules.router.when_online_away],
            rules.unqualified_name,
        )

    def applicable(self, tenant: str, task: str) -> tuple[ApplicableBudget, ...]:
        """What bounds a call; empty where nothing does."""
        found: tuple[tuple[BudgetScope, str, Budget | None], ...] = (
            ("task", task, self._task_budget(task)),
            ("tenant", tenant, self.tenants.get(tenant)),
        )
        return tuple(
            ApplicableBudget(scope, name, to_nanos(budget.daily_usd), budget.over_budget)
            for scope, name, budget in found
            if budget is not None and budget.daily_usd is not None
        )

    def _task_budget(self, task: str) -> Budget:
        found = self.tasks.get(task)
        if found is not None:
            return found
        return self.tasks.get(self.base_of(task) or task, self.default_task)
