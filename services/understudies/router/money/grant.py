"""Whether a call may cost what it is likely to."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from understudies.router.money.limits import Scope
from understudies.runtime.online import Hold
from understudies.runtime.plain import plain
from understudies.runtime.rules import OverBudget


@plain
class Grant:
    """Leave to spend, which has to be settled; to settle it again changes nothing.

    `purses` are the budgets that it counts against, and `hold` is what is set aside in them; it is not `held` where the
    online state is away. No budget bounds a call without purses.
    """

    purses: tuple[str, ...] = ()
    hold: Hold = Hold("", 0)
    held: bool = False


FREE = Grant()
"""For a call that no budget bounds."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave to spend what a teacher costs, and what is to be done: ask the student alone, or refuse the call.

    `spent_usd` counts the holds of calls in flight too. Where `unknown`, the online state is away, and it is what was
    known last.
    """

    action: OverBudget
    scope: Scope
    name: str
    limit_usd: Decimal
    spent_usd: Decimal
    resets_at: datetime
    unknown: bool = False

    def __str__(self) -> str:
        bound = f"daily budget of {self.scope} {self.name!r}, ${self.limit_usd.normalize():f},"
        if self.unknown:
            return f"{bound} cannot be checked now; ask again in a moment"
        return f"{bound} is spent; it resets at {self.resets_at:%Y-%m-%dT%H:%M:%SZ}"
