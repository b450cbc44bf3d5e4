"""Keep calls within the budgets of their task and tenant: reserve before a call, settle after it."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

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
"""Seconds after which Redis may be back."""


class BudgetExceeded(TeacherError):  # noqa: N818 - names the condition
    """No money is left for a call until `resets_at`; None: it is not known when.

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


class CallBudget(Protocol):
    """Reserves money before a call, and settles what it did cost."""

    async def reserve(self, call: Call) -> Reservation | None:
        """Reserve money for the teacher's answer, None where there is no limit; raises BudgetExceeded."""
        ...

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Reserve money for the student's answer; raises BudgetExceeded where the rules refuse even that."""
        ...

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count what a call did cost, in the background; what was reserved beyond it is free again.

        With `update_mean`, as of a teacher's whole answer at the first attempt, the estimates learn from it.
        """
        ...

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count what was spent on a call without a reservation, such as its audit."""
        ...

    def estimate_cost(self, call: Call) -> Decimal:
        """Estimate the cost of the teacher's answer to a call, in US dollars; 0 where it is not known."""
        ...

    def unproductive_cost(self, call: Call, attempts: int) -> Decimal:
        """Estimate the cost of so many attempts that a teacher accepted, though nothing came of them."""
        ...

    async def close(self) -> None:
        """Wait until all is counted."""
        ...


class NoBudget:
    """Limits nothing and counts nothing."""

    async def reserve(self, call: Call) -> Reservation | None:
        """Reserve nothing."""
        return None

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Reserve nothing."""
        return None

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count nothing."""

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count nothing."""

    def estimate_cost(self, call: Call) -> Decimal:
        """Estimate nothing."""
        return ZERO_USD

    def unproductive_cost(self, call: Call, attempts: int) -> Decimal:
        """Estimate nothing."""
        return ZERO_USD

    async def close(self) -> None:
        """Have nothing to wait for."""


CallCost = Callable[[Call, Usage], Decimal]
"""The cost of a usage with the teacher of a call, in US dollars."""

_MAX_USD: Final = from_nanos(MAX_NANOS)


class EnforcedBudget:
    """Keeps calls within the limits of their task and tenant."""

    def __init__(self, limiter: BudgetLimiter, cost: CallCost) -> None:
        self._limiter = limiter
        self._cost = cost
        self._mean_cost = RunningMeanCost()

    def update_limits(self, limits: BudgetLimits, *, lease_s: float) -> None:
        """Apply other limits from now on, to what was spent so far too, and let holds last so long."""
        self._limiter.limits = limits
        self._limiter.lease_s = lease_s

    async def reserve(self, call: Call) -> Reservation | None:
        """Reserve money for the teacher's answer, None where there is no limit; raises BudgetExceeded."""
        if not self._limiter.has_budget(call.tenant, call.task):
            return None
        # Beyond it nothing can be counted, and no budget goes that far.
        granted = await self._limiter.reserve(call.tenant, call.task, min(self.estimate_cost(call), _MAX_USD), call.at)
        if isinstance(granted, Denial):
            raise _budget_exceeded(granted, call)
        return granted

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Reserve money for the student's answer, which goes on beyond a budget unless its rules refuse that too."""
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
        """Count what a call did cost; report it to the online state in the background."""
        if update_mean and cost_usd:
            self._mean_cost.add(call.task, call.model, cost_usd)
        if reservation is None:
            self.charge(call, cost_usd)
        elif reservation is not UNLIMITED:
            self._limiter.settle(reservation, cost_usd)

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count what was spent on a call without a reservation."""
        self._limiter.charge(call.tenant, call.task, cost_usd, call.at)

    def estimate_cost(self, call: Call) -> Decimal:
        """Estimate the cost of the teacher's answer to a call, in US dollars."""
        return estimate_cost(
            lambda usage: self._cost(call, usage),
            characters=count_characters(call.request),
            max_tokens=max_answer_tokens(call.request),
            mean_cost=self._mean_cost.mean(call.task, call.model),
        )

    def unproductive_cost(self, call: Call, attempts: int) -> Decimal:
        """Estimate the cost of so many attempts that a teacher accepted, though nothing came of them."""
        return attempts * self.estimate_cost(call) if attempts else ZERO_USD

    async def close(self) -> None:
        """Report everything to the online state, within a time-out."""
        await self._limiter.close()


def _budget_exceeded(refusal: Denial, call: Call) -> BudgetExceeded:
    return BudgetExceeded(
        str(refusal),
        resets_at=None if refusal.usage_unknown else refusal.resets_at,
        now=call.at,
        student_allowed=refusal.action == "student_only",
    )
