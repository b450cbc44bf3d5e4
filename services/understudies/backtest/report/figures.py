"""Compute the figures of a backtest for all calls, one task or one day: counts, agreement and money."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from understudies.backtest.report.json_values import to_json_usd
from understudies.stats.bounds import anytime_lower_bound


@dataclass(frozen=True, slots=True)
class CallFigures:
    """One played call: its cost without and with students, and its answer.

    `agreed` is None if a student did not serve, or if it is not known.
    """

    cost_before: Decimal
    cost_after: Decimal
    served: bool
    agreed: bool | None = None
    input: str = ""


@dataclass(frozen=True, slots=True)
class FigureTotals:
    """The figures of a set of calls.

    Agreement is over the calls that a student served, with its anytime-valid 95 % lower bound: the lesser of those by
    call and by distinct input, because repeats of an input add no evidence. Both are None if no call was judged.
    `cost_reduction` is the factor by which the calls became cheaper: cost before over cost after.
    """

    calls: int
    served: int
    judged: int
    agreed: int
    cost_before: Decimal
    cost_after: Decimal
    distinct_inputs: int = 0
    distinct_inputs_agreed: float = 0.0

    @property
    def served_share(self) -> float:
        return self.served / self.calls if self.calls else 0.0

    @property
    def agreement_served(self) -> float | None:
        return self.agreed / self.judged if self.judged else None

    @property
    def agreement_lower_bound(self) -> float | None:
        if not self.judged:
            return None
        by_call = anytime_lower_bound(self.agreed, self.judged)
        return min(by_call, anytime_lower_bound(math.floor(self.distinct_inputs_agreed + 1e-9), self.distinct_inputs))

    @property
    def saved(self) -> Decimal:
        return self.cost_before - self.cost_after

    @property
    def cost_reduction(self) -> float | None:
        return float(self.cost_before / self.cost_after) if self.cost_after > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the keys of the report."""
        return {
            "calls": self.calls,
            "served_share": round(self.served_share, 6),
            "agreement_served": _round_or_none(self.agreement_served),
            "agreement_lower_bound": _round_or_none(self.agreement_lower_bound),
            "cost_before_usd": to_json_usd(self.cost_before),
            "cost_after_usd": to_json_usd(self.cost_after),
            "cost_reduction": _round_or_none(self.cost_reduction),
            "saved_usd": to_json_usd(self.saved),
        }


@dataclass(frozen=True, slots=True)
class FiguresSummary:
    """The figures of all calls, and of the last fifth of them, when students have settled."""

    totals: FigureTotals
    last_fifth: FigureTotals

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the keys of the report."""
        return {**self.totals.to_dict(), "last_fifth": self.last_fifth.to_dict()}


class FiguresAccumulator:
    """Collect calls in the order in which they were played."""

    def __init__(self) -> None:
        self._calls: list[CallFigures] = []
        self._extra_costs: list[tuple[int, Decimal]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def add(
        self, cost_before: Decimal, cost_after: Decimal, served: bool, agreed: bool | None = None, input_: str = ""
    ) -> None:
        """Add a call; without a key, its input counts as distinct."""
        self._calls.append(CallFigures(cost_before, cost_after, served, agreed if served else None, input_))

    def add_cost(self, cost: Decimal) -> None:
        """Add a cost of no single call, such as a training run, to the cost after the calls so far."""
        self._extra_costs.append((len(self._calls), cost))

    def compute_totals(self) -> FigureTotals:
        """Compute the figures so far."""
        return self._totals_from(0)

    def summarise(self) -> FiguresSummary:
        """Compute the figures so far, and those of the last fifth of the calls."""
        return FiguresSummary(self._totals_from(0), self._totals_from(-(-len(self._calls) * 4 // 5)))

    def _totals_from(self, first: int) -> FigureTotals:
        return compute_totals(
            self._calls[first:], sum((cost for at, cost in self._extra_costs if at >= first), Decimal(0))
        )


def compute_totals(calls: Iterable[CallFigures], extra: Decimal = Decimal(0)) -> FigureTotals:
    """Compute the figures of a set of calls, with an extra cost after."""
    count = served = judged = agreed = 0
    before, after = Decimal(0), extra
    by_input: defaultdict[str, list[bool]] = defaultdict(list)
    for index, call in enumerate(calls):
        count += 1
        served += call.served
        judged += call.agreed is not None
        agreed += call.agreed is True
        before += call.cost_before
        after += call.cost_after
        if call.agreed is not None:
            by_input[call.input or str(index)].append(call.agreed)
    inputs_agreed = math.fsum(sum(verdicts) / len(verdicts) for verdicts in by_input.values())
    return FigureTotals(count, served, judged, agreed, before, after, len(by_input), inputs_agreed)


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
