"""The outcome of a budget check: a reservation or a denial."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from understudies.router.budgets.limits import BudgetScope
from understudies.runtime.fast_dataclass import fast_dataclass
from understudies.runtime.online.base import BudgetHold
from understudies.runtime.rules.task import OverBudgetRule


@fast_dataclass
class Reservation:
    """Permission to spend, to be settled after the call; settling it again has no effect.

    `counters` are the budgets that it counts against, and `hold` is the amount held in them; `has_hold` is False if the
    online state was unavailable. A reservation without counters is unlimited.
    """

    counters: tuple[str, ...] = ()
    hold: BudgetHold = BudgetHold("", 0)
    has_hold: bool = False


UNLIMITED = Reservation()
"""The reservation for a call without a budget."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Denied permission to spend on a teacher, with the action to take: ask the student only, or refuse the call.

    `spent_usd` includes the holds of calls in flight. If `usage_unknown`, the online state is unavailable, and the
    figure is the last one known.
    """

    action: OverBudgetRule
    scope: BudgetScope
    name: str
    limit_usd: Decimal
    spent_usd: Decimal
    resets_at: datetime
    usage_unknown: bool = False

    def __str__(self) -> str:
        budget = f"daily budget of {self.scope} {self.name!r}, ${self.limit_usd.normalize():f},"
        if self.usage_unknown:
            return f"{budget} cannot be checked now; try again shortly"
        return f"{budget} is spent; it resets at {self.resets_at:%Y-%m-%dT%H:%M:%SZ}"
