"""Calls within the budgets of their task and tenant."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from understudies.events import Usage
from understudies.router.call import Call
from understudies.router.money import (
    FREE,
    Budgets,
    Grant,
    Limits,
    Refusal,
    Typical,
    answer_limit,
    estimate,
    text_size,
)
from understudies.router.money.amounts import dollars
from understudies.router.payment import OverBudget, Payments
from understudies.runtime.online import MAX_NANOS

Cost = Callable[[Call, Usage], Decimal]
"""What a usage would cost with the teacher of a call, in US dollars."""

_MOST_USD: Final = dollars(MAX_NANOS)


class Wallet(Payments):
    """Reserves before a call what it is likely to cost, and settles what it did cost."""

    def __init__(self, budgets: Budgets, cost: Cost) -> None:
        self._budgets = budgets
        self._cost = cost
        self._typical = Typical()

    def use(self, limits: Limits, *, lease_s: float) -> None:
        """Other budgets hold from now on, for what was spent so far too, and holds may last so long."""
        self._budgets.limits = limits
        self._budgets.lease_s = lease_s

    async def reserve(self, call: Call) -> Grant | None:
        """Money for the teacher's answer, None where there is no limit; raises OverBudget."""
        if not self._budgets.bounded(call.tenant, call.task):
            return None
        # Beyond it nothing can be counted, and no budget goes that far.
        granted = await self._budgets.reserve(call.tenant, call.task, min(self.likely(call), _MOST_USD), call.at)
        if isinstance(granted, Refusal):
            raise _over(granted, call)
        return granted

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Grant | None:
        """Money for the student's answer, which goes on beyond a budget unless its rules refuse that too."""
        if not self._budgets.bounded(call.tenant, call.task):
            return None
        granted = await self._budgets.reserve(call.tenant, call.task, price_usd, call.at)
        if not isinstance(granted, Refusal):
            return granted
        if granted.action == "refuse":
            raise _over(granted, call)
        return None

    def settle(self, grant: Grant | None, call: Call, cost_usd: Decimal, *, typical: bool = False) -> None:
        """Count what a call did cost; the online state is told in the background."""
        if typical and cost_usd:
            self._typical.learn(call.task, call.model, cost_usd)
        if grant is None:
            self.charge(call, cost_usd)
        elif grant is not FREE:
            self._budgets.settle(grant, cost_usd)

    def charge(self, call: Call, cost_usd: Decimal) -> None:
        """Count what was spent on a call without asking."""
        self._budgets.charge(call.tenant, call.task, cost_usd, call.at)

    def likely(self, call: Call) -> Decimal:
        """What the teacher's answer to a call is likely to cost, in US dollars."""
        return estimate(
            lambda usage: self._cost(call, usage),
            characters=text_size(call.request),
            max_tokens=answer_limit(call.request),
            typical=self._typical.cost(call.task, call.model),
        )

    async def close(self) -> None:
        """Wait until the online state has heard of everything, or a time-out."""
        await self._budgets.close()


def _over(refusal: Refusal, call: Call) -> OverBudget:
    return OverBudget(
        str(refusal),
        resets_at=None if refusal.unknown else refusal.resets_at,
        now=call.at,
        student_may=refusal.action == "student_only",
    )
