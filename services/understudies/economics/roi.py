"""Decide whether a student is worth its cost: return on investment and break-even."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from understudies.events import usd


def saving_per_call(
    teacher_cost: Decimal, student_cost: Decimal, share: float = 1.0, audit_rate: float = 0.0
) -> Decimal:
    """Return the mean saving per eligible call in US dollars, unrounded; negative if the student loses money.

    The student is paid for every call, even if its confidence is too low and the teacher is paid as well; only the
    served share saves a teacher's call, and for the audited part of that share the teacher is paid after all.

    Parameters
    ----------
    teacher_cost, student_cost
        Cost per call, at least 0.
    share
        Share of calls that the student serves, in [0, 1].
    audit_rate
        Share of served calls that are audited, in [0, 1].

    Raises
    ------
    ValueError
        When a cost is negative or not finite, or a share outside [0, 1].

    Examples
    --------
    >>> saving_per_call(Decimal("0.03"), Decimal("0.001"), share=0.5, audit_rate=0.1)
    Decimal('0.0125')
    """
    _check_costs(teacher_cost=teacher_cost, student_cost=student_cost)
    for name, value in (("share", share), ("audit_rate", audit_rate)):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return _exact(share) * (1 - _exact(audit_rate)) * teacher_cost - student_cost


def roi(
    teacher_cost: Decimal,
    student_cost: Decimal,
    calls: int,
    investment: Decimal,
    *,
    share: float = 1.0,
    audit_rate: float = 0.0,
) -> Decimal | None:
    """Compute the return on investment over `calls` calls, as a ratio: 0 is break-even, 1 doubles the money.

    With every call served and none audited this is ((Cost_T - Cost_S) * N - Cost_Training) / Cost_Training.

    Parameters
    ----------
    teacher_cost, student_cost, share, audit_rate
        As for `saving_per_call`.
    calls
        Eligible calls over the horizon, at least 0.
    investment
        One-off costs in US dollars: training data, compute and evidence.

    Returns
    -------
    Decimal or None
        Rounded to 1e-9; None if nothing is invested, as the ratio is then undefined.

    Raises
    ------
    ValueError
        When a parameter is out of range.

    Examples
    --------
    >>> roi(Decimal("0.03"), Decimal("0.001"), 10_000, Decimal("145"))
    Decimal('1.000000000')
    """
    _check_costs(investment=investment)
    if calls < 0:
        raise ValueError(f"calls must be at least 0, got {calls!r}")
    saved = saving_per_call(teacher_cost, student_cost, share, audit_rate) * calls
    return usd((saved - investment) / investment) if investment else None


def break_even_calls(
    teacher_cost: Decimal,
    student_cost: Decimal,
    investment: Decimal,
    *,
    share: float = 1.0,
    audit_rate: float = 0.0,
) -> int | None:
    """Return the number of eligible calls until the investment pays back, rounded up; None if it never does.

    With every call served and none audited this is Cost_Training / (Cost_T - Cost_S). Parameters and errors as
    for `roi`.

    >>> break_even_calls(Decimal("0.03"), Decimal("0.001"), Decimal("145"))
    5000
    >>> break_even_calls(Decimal("0.03"), Decimal("0.03"), Decimal("145")) is None
    True
    """
    _check_costs(investment=investment)
    saving = saving_per_call(teacher_cost, student_cost, share, audit_rate)
    return math.ceil(investment / saving) if saving > 0 else None


@dataclass(frozen=True, slots=True)
class Investment:
    """Student as an investment: all inputs of the decision, and its results.

    Parameters
    ----------
    teacher_cost, student_cost
        US dollars per call.
    weekly_calls
        Projected eligible calls of next week.
    weekly_calls_lower
        Its lower bound, on which the decision is based.
    expected_share
        Share of calls that the student is expected to serve, in [0, 1].
    audit_rate
        Share of served calls that are audited, in [0, 1].
    training_cost
        US dollars for data, compute and the teacher's calls that training needs.
    evidence_cost
        US dollars for validation, shadow answers and the teacher's self-agreement.
    horizon_weeks
        Weeks within which it must pay back, above 0.

    Raises
    ------
    ValueError
        When an amount is negative or not finite, a share outside [0, 1], or the horizon not above 0.

    Examples
    --------
    >>> student = Investment(
    ...     teacher_cost=Decimal("0.03"), student_cost=Decimal("0.001"), weekly_calls=20_000,
    ...     weekly_calls_lower=10_000, expected_share=0.7, audit_rate=0.05,
    ...     training_cost=Decimal("20"), evidence_cost=Decimal("5"))
    >>> student.break_even_calls, student.roi, student.is_worthwhile
    (1320, Decimal('6.580000000'), True)
    """

    teacher_cost: Decimal
    student_cost: Decimal
    weekly_calls: int
    weekly_calls_lower: int
    expected_share: float
    audit_rate: float
    training_cost: Decimal
    evidence_cost: Decimal
    horizon_weeks: float = 1.0

    def __post_init__(self) -> None:
        if not self.horizon_weeks > 0:
            raise ValueError(f"horizon_weeks must be above 0, got {self.horizon_weeks!r}")
        _check_costs(training_cost=self.training_cost, evidence_cost=self.evidence_cost)
        if not 0 <= self.weekly_calls_lower <= self.weekly_calls:
            raise ValueError(
                f"weekly_calls_lower must lie in [0, {self.weekly_calls!r}], got {self.weekly_calls_lower!r}"
            )
        saving_per_call(self.teacher_cost, self.student_cost, self.expected_share, self.audit_rate)

    @property
    def cost(self) -> Decimal:
        """The one-off costs in US dollars."""
        return usd(self.training_cost + self.evidence_cost)

    @property
    def saving(self) -> Decimal:
        """The mean saving per eligible call in US dollars; negative if the student loses money."""
        return usd(self._saving)

    @property
    def net_weekly_saving(self) -> Decimal:
        """The mean weekly saving of running costs in US dollars, at the projected volume, before the investment."""
        return usd(self._saving * self.weekly_calls)

    @property
    def roi(self) -> Decimal | None:
        """The return on investment within the horizon at the lower bound of the volume; None if nothing is invested."""
        return roi(
            self.teacher_cost,
            self.student_cost,
            self._calls_lower,
            self.cost,
            share=self.expected_share,
            audit_rate=self.audit_rate,
        )

    @property
    def break_even_calls(self) -> int | None:
        """The number of eligible calls until the investment pays back; None if it never does."""
        return break_even_calls(
            self.teacher_cost,
            self.student_cost,
            self.cost,
            share=self.expected_share,
            audit_rate=self.audit_rate,
        )

    @property
    def paying_teacher_cost(self) -> Decimal | None:
        """The teacher's cost per call from which the student would pay back in time, other costs as they are.

        None if it serves nothing or no calls are expected.
        """
        kept = _exact(self.expected_share) * (1 - _exact(self.audit_rate))
        if not kept or not self._calls_lower:
            return None
        return usd((self.student_cost + self.cost / self._calls_lower) / kept)

    @property
    def is_worthwhile(self) -> bool:
        """True if break-even is reached before the horizon at the lower bound of the volume."""
        needed = self.break_even_calls
        return needed is not None and needed < self._calls_lower

    @property
    def reason(self) -> str:
        """The decision in one sentence, with its numbers."""
        if self.student_cost >= self.teacher_cost:
            return (
                f"The student costs ${_money(self.student_cost)} a call, "
                f"no less than the teacher's ${_money(self.teacher_cost)}."
            )
        needed = self.break_even_calls
        if needed is None:
            return (
                f"Serving {self.expected_share:.0%} of calls with {self.audit_rate:.1%} of them audited loses "
                f"${_money(-self._saving)} a call: the student is paid for every call, "
                "the teacher for every escalation."
            )
        horizon = "a week" if self.horizon_weeks == 1 else f"{self.horizon_weeks:g} weeks"
        verb = "pays back" if self.is_worthwhile else "does not pay back"
        return (
            f"${_money(self.cost)} {verb} within {horizon}: break-even takes {needed:,} calls at "
            f"${_money(self._saving)} saved a call, and at least {self._calls_lower:,} are expected."
        )

    @property
    def _calls_lower(self) -> int:
        return int(self.weekly_calls_lower * self.horizon_weeks)

    @property
    def _saving(self) -> Decimal:
        return saving_per_call(self.teacher_cost, self.student_cost, self.expected_share, self.audit_rate)


def _exact(value: float) -> Decimal:
    return Decimal(str(value))


def _check_costs(**amounts: Decimal) -> None:
    for name, amount in amounts.items():
        if not (amount.is_finite() and amount >= 0):
            raise ValueError(f"{name} must be an amount of at least 0, got {amount!r}")


def _money(amount: Decimal) -> str:
    # Two decimals for amounts of at least ten cents, two significant digits below.
    return f"{amount:,.2f}" if amount >= Decimal("0.1") or not amount else f"{float(amount):.2g}"
