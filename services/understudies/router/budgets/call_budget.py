"""Keep calls within the budgets of their task and tenant: reserve before a call, settle after it."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.events import Usage
from understudies.router.budgets.cost_estimate import (
    RunningMeanCost,
    count_characters,
    estimate_cost,
    max_answer_tokens,
)
from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import BudgetLimits
from understudies.router.budgets.reservation import UNLIMITED, Denial, Reservation
from understudies.router.budgets.units import from_nanos
from understudies.router.call import ZERO_USD, Call, TeacherError
from understudies.runtime.online.base import MAX_NANOS

_UNKNOWN_RETRY_AFTER_S: Final = 2
"""After which Redis may be back."""


class BudgetExceeded(TeacherError):  # noqa: N818 - what is the matter
    """There is no money left for a call until `resets_at`; where that is None, nobody knows for a moment.

    `student_allowed` says whether a student may answer all the same.
    """

    def __init__(
        self, message: str, *, resets_at: datetime | None, now: datetime, student_allowed: bool = False
    ) -> None:
        self.resets_at = resets_at
        self.student_allowed = student_allowed
        headers = {"x-understudies-reason": "over_budget"}
        if resets_at is None:
            headers["retry-after"] = str(_UNKNOWN_RETRY_AFTER_S)
            super().__init__(503, message, code="budget_unknown", headers=headers)
            return
        headers |= {
            "retry-after": str(max(1, round((resets_at - now).total_seconds()))),
            "x-understudies-budget-resets-at": resets_at.isoformat().replace("+00:00", "Z"),
            # Without it the official clients would try again and again until tomorrow.
            "x-should-retry": "false",
        }
        super().__init__(429, message, code="over_budget", headers=headers)


class CallBudget:
    """Nothing is limited and nothing is counted; `EnforcedBudget` does both."""

    async def reserve(self, call: Call) -> Reservation | None:
        """Money for the teacher's answer, None where there is no limit; raises BudgetExceeded."""
        return None

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Money for the student's answer; raises BudgetExceeded where the rules refuse even that."""
        return None

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count what a call did cost, in the background; what was set aside beyond it is free again.

        Of what is `update_mean`, as a teacher's whole answer at the first attempt, it is learnt what such calls cost.
        """

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count what was spent on a call without asking, such as its audit."""

    def estimate_cost(self, call: Call) -> Decimal:
        """What the teacher's answer to a call is likely to cost, in US dollars; 0 where nobody knows."""
        return ZERO_USD

    def unproductive_cost(self, call: Call, attempts: int) -> Decimal:
        """What so many attempts are likely to be charged for that a teacher accepted, though nothing came of them."""
        return attempts * self.estimate_cost(call) if attempts else ZERO_USD

    async def close(self) -> None:
        """Wait until all is counted."""


CallCost = Callable[[Call, Usage], Decimal]
"""What a usage would cost with the teacher of a call, in US dollars."""

_MAX_USD: Final = from_nanos(MAX_NANOS)


class EnforcedBudget(CallBudget):
    """Reserves before a call what it is likely to cost, and settles what it did cost."""

    def __init__(self, limiter: BudgetLimiter, cost: CallCost) -> None:
        self._limiter = limiter
        self._cost = cost
        self._mean_cost = RunningMeanCost()

    def update_limits(self, limits: BudgetLimits, *, lease_s: float) -> None:
        """Other budgets hold from now on, for what was spent so far too, and holds may last so long."""
        self._limiter.limits = limits
        self._limiter.lease_s = lease_s

    async def reserve(self, call: Call) -> Reservation | None:
        """Money for the teacher's answer, None where there is no limit; raises BudgetExceeded."""
        if not self._limiter.has_budget(call.tenant, call.task):
            return None
        # Beyond it nothing can be counted, and no budget goes that far.
        granted = await self._limiter.reserve(call.tenant, call.task, min(self.estimate_cost(call), _MAX_USD), call.at)
        if isinstance(granted, Denial):
            raise _budget_exceeded(granted, call)
        return granted

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Money for the student's answer, which goes on beyond a budget unless its rules refuse that too."""
        if not self._limiter.has_budget(call.tenant, call.task):
            return None
        granted = await self._limiter.reserve(call.tenant, call.task, price_usd, call.at)
        if not isinstance(granted, Denial):
            return granted
        if granted.action == "refuse":
            raise _budget_exceeded(granted, call)
        return None

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count what a call did cost; the online state is told in the background."""
        if update_mean and cost_usd:
            self._mean_cost.add(call.task, call.model, cost_usd)
        if reservation is None:
            self.charge(call, cost_usd)
        elif reservation is not UNLIMITED:
            self._limiter.settle(reservation, cost_usd)

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count what was spent on a call without asking."""
        self._limiter.charge(call.tenant, call.task, cost_usd, call.at)

    def estimate_cost(self, call: Call) -> Decimal:
        """What the teacher's answer to a call is likely to cost, in US dollars."""
        return estimate_cost(
            lambda usage: self._cost(call, usage),
            characters=count_characters(call.request),
            max_tokens=max_answer_tokens(call.request),
            mean_cost=self._mean_cost.mean(call.task, call.model),
        )

    async def close(self) -> None:
        """Wait until the online state has heard of everything, or a time-out."""
        await self._limiter.close()


def _budget_exceeded(refusal: Denial, call: Call) -> BudgetExceeded:
    return BudgetExceeded(
        str(refusal),
        resets_at=None if refusal.usage_unknown else refusal.resets_at,
        now=call.at,
        student_allowed=refusal.action == "student_only",
    )
