"""The figures of a backtest, for all calls, one task or one day: counts, agreement and money."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from understudies.backtest.plain import dollars
from understudies.stats import anytime_lower_bound


@dataclass(frozen=True, slots=True)
class Played:
    """One call as it was played: what it cost without and with students, and how it was answered.

    `agreed` is None where a student did not serve, or where it is not known.
    """

    cost_before: Decimal
    cost_after: Decimal
    served: bool
    agreed: bool | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of a set of calls.

    Agreement is that of the calls which a student served, with its anytime-valid 95 % lower bound; both are
    None where none was. `cost_reduction` is how many times cheaper the calls became: cost before over cost after.
    """

    calls: int
    served: int
    judged: int
    agreed: int
    cost_before: Decimal
    cost_after: Decimal

    @property
    def served_share(self) -> float:
        return self.served / self.calls if self.calls else 0.0

    @property
    def agreement_served(self) -> float | None:
        return self.agreed / self.judged if self.judged else None

    @property
    def agreement_lower_bound(self) -> float | None:
        return anytime_lower_bound(self.agreed, self.judged) if self.judged else None

    @property
    def saved(self) -> Decimal:
        return self.cost_before - self.cost_after

    @property
    def cost_reduction(self) -> float | None:
        return float(self.cost_before / self.cost_after) if self.cost_after > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """The figures under the keys of the report."""
        return {
            "calls": self.calls,
            "served_share": round(self.served_share, 6),
            "agreement_served": _rounded(self.agreement_served),
            "agreement_lower_bound": _rounded(self.agreement_lower_bound),
            "cost_before_usd": dollars(self.cost_before),
            "cost_after_usd": dollars(self.cost_after),
            "cost_reduction": _rounded(self.cost_reduction),
            "saved_usd": dollars(self.saved),
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of all calls and, beside them, of the last fifth of them, when students have settled."""

    totals: Totals
    last_fifth: Totals

    def to_dict(self) -> dict[str, Any]:
        """The figures under the keys of the report."""
        return {**self.totals.to_dict(), "last_fifth": self.last_fifth.to_dict()}


class Figures:
    """Collects calls in the order in which they were played."""

    def __init__(self) -> None:
        self._calls: list[Played] = []
        self._extras: list[tuple[int, Decimal]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, cost_before: Decimal, cost_after: Decimal, served: bool, agreed: bool | None = None) -> None:
        """Count one call."""
        self._calls.append(Played(cost_before, cost_after, served, agreed if served else None))

    def charge(self, cost: Decimal) -> None:
        """Add a cost that is no call's own, such as a training run, to the cost after the calls so far."""
        self._extras.append((len(self._calls), cost))

    def totals(self) -> Totals:
        """The figures so far."""
        return self._from(0)

    def summary(self) -> Summary:
        """The figures so far, with those of the last fifth of the calls."""
        return Summary(self._from(0), self._from(-(-len(self._calls) * 4 // 5)))

    def _from(self, first: int) -> Totals:
        return totals_of(self._calls[first:], sum((cost for at, cost in self._extras if at >= first), Decimal(0)))


def totals_of(calls: Iterable[Played], extra: Decimal = Decimal(0)) -> Totals:
    """The figures of a set of calls, with an extra cost after."""
    count = served = judged = agreed = 0
    before, after = Decimal(0), extra
    for call in calls:
        count += 1
        served += call.served
        judged += call.agreed is not None
        agreed += call.agreed is True
        before += call.cost_before
        after += call.cost_after
    return Totals(count, served, judged, agreed, before, after)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
