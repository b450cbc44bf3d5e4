"""What calls may cost, and what they did."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.router.call import Call, TeacherError
from understudies.router.decision import ZERO_USD
from understudies.router.money import Reservation

_UNKNOWN_RETRY_AFTER_S: Final = 2
"""After which Redis may be back."""


class BudgetExceeded(TeacherError):  # noqa: N818 - what is the matter
    """There is no money left for a call until `resets_at`; where that is None, nobody knows for a moment.

    `student_may` says whether a student may answer all the same.
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
    """Nothing is limited and nothing is counted; `Wallet` does both."""

    async def reserve(self, call: Call) -> Reservation | None:
        """Money for the teacher's answer, None where there is no limit; raises OverBudget."""
        return None

    async def reserve_student(self, call: Call, price_usd: Decimal) -> Reservation | None:
        """Money for the student's answer; raises OverBudget where the rules refuse even that."""
        return None

    def settle(
        self, reservation: Reservation | None, call: Call, cost_usd: Decimal, *, update_mean: bool = False
    ) -> None:
        """Count what a call did cost, in the background; what was set aside beyond it is free again.

        Of what is `typical`, as a teacher's whole answer at the first attempt, it is learnt what such calls cost.
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
