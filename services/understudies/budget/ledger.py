"""Count what a task has cost, and what it would have cost without students."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from understudies.economics.prices import teacher_call_cost
from understudies.events import Invocation, usd
from understudies.persistence.saved_state import SavedState

ZERO_USD = Decimal(0)

_ENOUGH_ANSWERS: Final = 100
"""Answers of the teacher whose mean price needs no imported calls."""
_ESCALATION_REASONS: Final = frozenset({"low_confidence", "student_error", "withheld", "unproven", "unconfirmed"})


@dataclass(slots=True)
class Ledger(SavedState):
    """Cost sums in US dollars, exact to 1e-9, and call counts.

    `avoided` is what the calls that students served would have cost at the teacher's mean price so far. A teacher's
    answer that came without a price is priced by its model and usage, or at $0.03 if these are unknown. Imported calls
    were paid for before: they only tell the teacher's price, until enough of its answers have come since.
    """

    calls: int = 0
    served: int = 0
    escalated: int = 0
    audits: int = 0
    teacher_calls: int = 0
    teacher: Decimal = ZERO_USD
    students: Decimal = ZERO_USD
    audit: Decimal = ZERO_USD
    training: Decimal = ZERO_USD
    compared: Decimal = ZERO_USD
    avoided: Decimal = ZERO_USD
    imported_calls: int = 0
    imported: Decimal = ZERO_USD

    def record(self, call: Invocation) -> None:
        """Add one invocation."""
        if call.origin == "synthetic":
            self.training += call.cost_usd
            return
        if call.origin == "imported":
            self.imported_calls += 1
            self.imported += _cost(call)
            return
        student_cost = call.route.student_cost_usd if call.route else ZERO_USD
        if call.origin in ("audit", "succession"):
            self.audits += call.origin == "audit"
            self.audit += call.cost_usd
            return
        if call.served_by == "cache":
            # A cached answer is free, so a student could not have saved anything on it.
            return
        self.calls += 1
        if call.served_by == "student":
            self.served += 1
            self.students += call.cost_usd
            self.avoided += self.teacher_price or ZERO_USD
            return
        self.teacher_calls += call.response is not None
        self.students += student_cost
        self.teacher += _cost(call) - student_cost
        self.escalated += bool(call.route and call.route.reason in _ESCALATION_REASONS)

    def record_comparison(self, cost: Decimal) -> None:
        """Add the cost of a comparison: the judge's, and that of the student's answer if it was not served."""
        self.compared += cost

    @property
    def teacher_price(self) -> Decimal | None:
        """The mean price of a teacher's answer; None before the first."""
        if self.teacher_calls >= _ENOUGH_ANSWERS or not self.imported_calls:
            return usd(self.teacher / self.teacher_calls) if self.teacher_calls else None
        return usd((self.teacher + self.imported) / (self.teacher_calls + self.imported_calls))

    @property
    def total_cost(self) -> Decimal:
        """The total spent: teacher, students and investment."""
        return usd(self.teacher + self.students + self.invested)

    @property
    def invested(self) -> Decimal:
        """The cost of proving and monitoring students: training, shadow answers, audits, teachers' successors."""
        return usd(self.training + self.compared + self.audit)

    @property
    def cost_without_students(self) -> Decimal:
        """The cost if the teacher had answered every call."""
        return usd(self.teacher + self.avoided)

    @property
    def savings(self) -> Decimal:
        """The net savings so far; negative until the investment is earned back."""
        return usd(self.cost_without_students - self.total_cost)


def _cost(call: Invocation) -> Decimal:
    return call.cost_usd if call.priced else teacher_call_cost(call.model, call.usage, at=call.at)
