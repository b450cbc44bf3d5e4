"""Whether a call may cost what it is likely to."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from understudies.router.budgets.limits import BudgetScope
from understudies.runtime.fast_dataclass import fast_dataclass
from understudies.runtime.online.base import BudgetHold
from understudies.runtime.rules.task import OverBudgetRule


@fast_dataclass
class Reservation:
    """Leave to spend, which has to be settled; to settle it again changes nothing.

    `counters` are the budgets that it counts against, and `hold` is what is set aside in them; it is not `has_hold`
    where the online state is away. No budget bounds a call without counters.
    """

    counters: tuple[str, ...] = ()
    hold: BudgetHold = BudgetHold("", 0)
    has_hold: bool = False


UNLIMITED = Reservation()
"""For a call that no budget bounds."""


@dataclass(frozen=True, slots=True)
class Denial:
    """No leave to spend what a teacher costs, and what is to be done: ask the student alone, or refuse the call.

    `spent_usd` counts the holds of calls in flight too. Where `usage_unknown`, the online state is away, and it is what
    was known last.
    """

    action: OverBudgetRule
    scope: BudgetScope
    name: str
    limit_usd: Decimal
    spent_usd: Decimal
    resets_at: datetime
    usage_unknown: bool = False

    def __str__(self) -> str:
        bound = f"daily budget of {self.scope} {self.name!r}, ${self.limit_usd.normalize():f},"
        if self.usage_unknown:
            return f"{bound} cannot be checked now; ask again in a moment"
        return f"{bound} is spent; it resets at {self.resets_at:%Y-%m-%dT%H:%M:%SZ}"
