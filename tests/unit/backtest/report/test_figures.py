"""The figures of a backtest."""

from decimal import Decimal

import pytest

from understudies.backtest.report.figures import FiguresAccumulator
from understudies.stats.bounds import anytime_lower_bound

KEYS = {
    "calls",
    "served_share",
    "agreement_served",
    "agreement_lower_bound",
    "cost_before_usd",
    "cost_after_usd",
    "cost_reduction",
    "saved_usd",
}


def test_figures_count_calls_agreement_and_money() -> None:
    figures = FiguresAccumulator(5)
    for agreed in (True, True, False, None):
        figures.add(Decimal("0.03"), Decimal("0.001"), served=True, agreed=agreed)
    figures.add(Decimal("0.03"), Decimal("0.031"), served=False, agreed=True)
    assert figures.summarise().totals.to_dict() == {
        "calls": 5,
        "served_share": 0.8,
        "agreement_served": 0.666667,
        "agreement_lower_bound": round(anytime_lower_bound(2, 3), 6),
        "cost_before_usd": 0.15,
        "cost_after_usd": 0.035,
        "cost_reduction": 4.285714,
        "saved_usd": 0.115,
    }


def test_where_no_student_served_agreement_is_null() -> None:
    figures = FiguresAccumulator(1)
    figures.add(Decimal(1), Decimal(1), served=False)
    written = figures.summarise().totals.to_dict()
    assert (written["agreement_served"], written["agreement_lower_bound"], written["served_share"]) == (None, None, 0.0)


def test_no_calls_give_zeros_and_nulls() -> None:
    written = FiguresAccumulator(0).summarise().to_dict()
    assert set(written) == KEYS | {"last_fifth"}
    assert set(written["last_fifth"]) == KEYS
    assert (written["calls"], written["cost_reduction"], written["saved_usd"]) == (0, None, 0.0)


@pytest.mark.parametrize(("calls", "last"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (101, 20)])
def test_the_last_fifth_is_that_of_the_calls_in_their_order(calls: int, last: int) -> None:
    figures = FiguresAccumulator(calls)
    for place in range(calls):
        figures.add(Decimal(1), Decimal(0), served=place >= calls - last, agreed=True)
    summary = figures.summarise()
    assert summary.last_fifth.calls == last
    assert summary.last_fifth.served == last


@pytest.mark.parametrize(("after", "late"), [(0, 1), (7, 1), (8, 3), (10, 3)])
def test_a_charge_counts_in_the_last_fifth_where_it_falls_there(after: int, late: int) -> None:
    figures = FiguresAccumulator(10)
    for place in range(10):
        if place == after:
            figures.add_cost(Decimal(2))
        figures.add(Decimal(1), Decimal("0.5"), served=True, agreed=True)
    if after == 10:
        figures.add_cost(Decimal(2))
    summary = figures.summarise()
    assert (summary.totals.cost_after, summary.totals.saved) == (Decimal(7), Decimal(3))
    assert summary.last_fifth.cost_after == late


def test_money_is_added_exactly() -> None:
    figures = FiguresAccumulator(1000)
    for _ in range(1000):
        figures.add(Decimal("0.000000001"), Decimal(0), served=False)
    assert figures.summarise().totals.cost_before == Decimal("0.000001")
    assert figures.summarise().totals.to_dict()["cost_before_usd"] == 0.000001
