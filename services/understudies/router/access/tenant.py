"""Who calls, as the desk needs to know it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import translate
from typing import Self

from understudies.events import own_task, owner_and_base
from understudies.runtime.rules import OverBudgetRule, TenantRules


@dataclass(frozen=True, slots=True)
class Tenant:
    """A caller: its name on every event, and what it may do. It holds no key."""

    name: str = "default"
    daily_budget_usd: Decimal | None = None
    over_budget: OverBudgetRule = "student_only"
    own_teacher_key: bool = False
    _tasks: re.Pattern[str] | None = field(default=None, repr=False)
    _owns: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_rules(cls, name: str, rules: TenantRules) -> Self:
        """The tenant of a table of the rules."""
        tasks = rules.tasks
        return cls(
            name,
            rules.daily_budget_usd,
            rules.over_budget,
            rules.own_teacher_key,
            None if tasks is None else re.compile("|".join(translate(glob) for glob in tasks) or r"(?!)"),
            rules.owns if rules.own_tasks else None,
        )

    @property
    def is_restricted(self) -> bool:
        """Whether it may call certain tasks alone, and so nothing that has no task."""
        return self._tasks is not None

    def can_call(self, task: str) -> bool:
        """Whether it may call a task."""
        return self._tasks is None or self._tasks.fullmatch(task) is not None

    def display_name(self, task: str) -> str:
        """How it calls a task."""
        owner, base = owner_and_base(task) if self._owns is not None else (None, task)
        return base if owner == self.name else task

    def qualified_name(self, called: str) -> str:
        """The task that it calls by a name: its own, or one that all share."""
        called = self.display_name(called)
        return own_task(self.name, called) if self._owns is not None and self._owns(called) else called


ANONYMOUS = Tenant()
"""Whoever calls where no key is asked for."""
