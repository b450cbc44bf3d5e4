"""Define the rules of one tenant: its keys and their permissions."""

from decimal import Decimal
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field

from understudies.runtime.rules.api_keys import KeyHash
from understudies.runtime.rules.task import MAX_DAILY_BUDGET_USD, MIN_DAILY_BUDGET_USD, OverBudgetRule


class TenantRules(BaseModel):
    """Keys, allowed tasks and daily budget of one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[KeyHash, ...] = Field(description="hashes of its keys; empty: it cannot call")
    tasks: tuple[str, ...] | None = Field(default=None, description="tasks it may call (* and ? match); absent: all")
    daily_budget_usd: Decimal | None = Field(
        default=None,
        ge=MIN_DAILY_BUDGET_USD,
        le=MAX_DAILY_BUDGET_USD,
        description="most that its calls may cost per day (UTC)",
    )
    over_budget: OverBudgetRule = Field(default="student_only", description="how to treat its calls once that is spent")
    own_tasks: bool | tuple[str, ...] = Field(
        default=False,
        description="all its tasks, or those listed (* and ? match), are its own: no other tenant's calls train them",
    )
    consent: bool | None = Field(
        default=None, description="whether its calls may train students; absent: not said, unless a call says it"
    )
    own_teacher_key: bool = Field(
        default=False, description="may send the teacher's key in the header x-understudies-teacher-key"
    )

    @property
    def states_sharing(self) -> bool:
        """True if the rules say, either way, whether its tasks are its own."""
        return "own_tasks" in self.model_fields_set

    def owns(self, task: str) -> bool:
        """Return whether a task, by its unqualified name, is the tenant's own."""
        if isinstance(self.own_tasks, bool):
            return self.own_tasks
        return any(fnmatchcase(task, glob) for glob in self.own_tasks)
