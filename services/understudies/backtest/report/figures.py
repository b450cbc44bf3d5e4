"""Compute the figures of a backtest for all calls, one task or one day: counts, agreement and money."""

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from understudies.backtest.report.json_values import to_json_usd
from understudies.stats.bounds import anytime_lower_bound


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
    """Count calls in the order in which they were played; of each input that a student served, two counts are kept.

    `calls` is how many there will be: from it follows where the last fifth of them begins.
    """

    def __init__(self, calls: int) -> None:
        self._first_of_last_fifth = -(-calls * 4 // 5)
        self._calls = 0
        self._earlier, self._last_fifth = _Counts(), _Counts()

    def add(
        self, cost_before: Decimal, cost_after: Decimal, served: bool, agreed: bool | None = None, input_: str = ""
    ) -> None:
        """Add a call: its cost without and with students, and its answer; without a key, its input counts as distinct.

        `agreed` is None if it is not known; it does not count if no student served.
        """
        counts = self._current()
        self._calls += 1
        counts.calls += 1
        counts.served += served
        counts.cost_before += cost_before
        counts.cost_after += cost_after
        if served and agreed is not None:
            counts.add_verdict(input_ or str(self._calls), agreed)

    def add_cost(self, cost: Decimal) -> None:
        """Add a cost of no single call, such as a training run, to the cost after the calls so far."""
        self._current().cost_after += cost

    def summarise(self) -> FiguresSummary:
        """Compute the figures of all calls, and those of the last fifth of them."""
        return FiguresSummary(_add_up(self._earlier, self._last_fifth), _add_up(self._last_fifth))

    def _current(self) -> "_Counts":
        return self._earlier if self._calls < self._first_of_last_fifth else self._last_fifth


@dataclass(slots=True)
class _Counts:
    """Counts of calls, and of how often the answer to each input was judged, and was another than the teacher's."""

    calls: int = 0
    served: int = 0
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)
    judged: Counter[str] = field(default_factory=Counter)
    disagreed: Counter[str] = field(default_factory=Counter)

    def add_verdict(self, input_: str, agreed: bool) -> None:
        self.judged[input_] += 1
        if not agreed:
            self.disagreed[input_] += 1


def _add_up(*parts: _Counts) -> FigureTotals:
    """Compute the figures of counts of different calls."""
    judged = sum(part.judged.total() for part in parts)
    shares = array("d", _agreed_shares(parts))
    return FigureTotals(
        calls=sum(part.calls for part in parts),
        served=sum(part.served for part in parts),
        judged=judged,
        agreed=judged - sum(part.disagreed.total() for part in parts),
        cost_before=sum((part.cost_before for part in parts), Decimal(0)),
        cost_after=sum((part.cost_after for part in parts), Decimal(0)),
        distinct_inputs=len(shares),
        distinct_inputs_agreed=math.fsum(shares),
    )


def _agreed_shares(parts: Sequence[_Counts]) -> Iterator[float]:
    """Yield for each input the share of its answers that agreed."""
    for place, part in enumerate(parts):
        earlier = parts[:place]
        for input_ in part.judged:
            if not any(input_ in one.judged for one in earlier):
                judged = sum([one.judged.get(input_, 0) for one in parts])
                yield (judged - sum([one.disagreed.get(input_, 0) for one in parts])) / judged


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
