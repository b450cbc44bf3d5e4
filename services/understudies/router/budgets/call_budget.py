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
"""Seconds after which Redis may be available again."""


class BudgetExceeded(TeacherError):  # noqa: N818 - names the condition
    """Raised when the budget for a call is spent until `resets_at`; None if the usage is unknown at the moment.

    `student_allowed` says whether a student may still answer.
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
            # Without it the official clients would keep retrying until the reset.
            "x-should-retry": "false",
        }
        super().__init__(429, message, code="over_budget", headers=headers)


class CallBudget:
    """A budget without limits that counts nothing; `EnforcedBudget` does both."""

    async def reserve(self, call: Call) -> Reservation | None:
        """Reserve the cost of the teacher's answer, None if there is no limit; raises BudgetExceeded."""
        return None

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Reserve the cost of the student's answer; raises BudgetExceeded if the rules refuse even that."""
        return None

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count the actual cost of a call in the background, and release the rest of its reservation.

        With `update_mean`, set for a teacher's complete answer at the first attempt, update the mean cost of such
        calls.
        """

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count spending without a reservation, such as an audit's."""

    def estimate_cost(self, call: Call) -> Decimal:
        """Estimate the cost of the teacher's answer to a call, in US dollars; 0 if unknown."""
        return ZERO_USD

    def unproductive_cost(self, call: Call, attempts: int) -> Decimal:
        """Estimate the charge for attempts that a teacher accepted but did not answer."""
        return attempts * self.estimate_cost(call) if attempts else ZERO_USD

    async def close(self) -> None:
        """Wait until all spending is reported."""


CallCost = Callable[[Call, Usage], Decimal]
"""The cost of a usage with the teacher of a call, in US dollars."""

_MAX_USD: Final = from_nanos(MAX_NANOS)


class EnforcedBudget(CallBudget):
    """Reserve the estimated cost before a call, and settle the actual cost after it."""

    def __init__(self, limiter: BudgetLimiter, cost: CallCost) -> None:
        self._limiter = limiter
        self._cost = cost
        self._mean_cost = RunningMeanCost()

    def update_limits(self, limits: BudgetLimits, *, lease_s: float) -> None:
        """Apply other budgets from now on, also to today's spending so far; `lease_s` bounds how long a hold lasts."""
        self._limiter.limits = limits
        self._limiter.lease_s = lease_s

    async def reserve(self, call: Call) -> Reservation | None:
        """Reserve the cost of the teacher's answer, None if there is no limit; raises BudgetExceeded."""
        if not self._limiter.has_budget(call.tenant, call.task):
            return None
        # The counters hold no more, and no budget is that large.
        reservation = await self._limiter.reserve(
            call.tenant, call.task, min(self.estimate_cost(call), _MAX_USD), call.at
        )
        if isinstance(reservation, Denial):
            raise _budget_exceeded(reservation, call)
        return reservation

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Reserve the cost of the student's answer; None beyond a budget, BudgetExceeded if its rules refuse that."""
        if not self._limiter.has_budget(call.tenant, call.task):
            return None
        reservation = await self._limiter.reserve(call.tenant, call.task, price_usd, call.at)
        if not isinstance(reservation, Denial):
            return reservation
        if reservation.action == "refuse":
            raise _budget_exceeded(reservation, call)
        return None

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count the actual cost of a call; report it to the online state in the background."""
        if update_mean and cost_usd:
            self._mean_cost.add(call.task, call.model, cost_usd)
        if reservation is None:
            self.charge(call, cost_usd)
        elif reservation is not UNLIMITED:
            self._limiter.settle(reservation, cost_usd)

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count spending without a reservation."""
        self._limiter.charge(call.tenant, call.task, cost_usd, call.at)

    def estimate_cost(self, call: Call) -> Decimal:
        """Estimate the cost of the teacher's answer to a call, in US dollars."""
        return estimate_cost(
            lambda usage: self._cost(call, usage),
            characters=count_characters(call.request),
            max_tokens=max_answer_tokens(call.request),
            mean_cost=self._mean_cost.mean(call.task, call.model),
        )

    async def close(self) -> None:
        """Wait until the online state has all the spending, or a time-out."""
        await self._limiter.close()


def _budget_exceeded(denial: Denial, call: Call) -> BudgetExceeded:
    return BudgetExceeded(
        str(denial),
        resets_at=None if denial.usage_unknown else denial.resets_at,
        now=call.at,
        student_allowed=denial.action == "student_only",
    )
