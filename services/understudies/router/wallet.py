"""Calls within the budgets of their task and tenant."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from understudies.events import Usage
from understudies.router.call import Call
from understudies.router.money import (
    UNLIMITED,
    BudgetLimiter,
    BudgetLimits,
    Denial,
    Reservation,
    RunningMeanCost,
    count_characters,
    estimate_cost,
    max_answer_tokens,
)
from understudies.router.money.amounts import from_nanos
from understudies.router.payment import BudgetExceeded, CallBudget
from understudies.runtime.online import MAX_NANOS

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
        """Money for the teacher's answer, None where there is no limit; raises OverBudget."""
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
