"""Numbers as people read them."""

from decimal import Decimal

import pytest

from understudies.backtest.report.formatting import (
    format_factor,
    format_label,
    format_percent,
    format_usd,
    format_value,
)


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.9584, "95.8%"), (1.0, "100.0%"), (0.99999, "99.9%"), (0.0, "0.0%"), (1.5, "150.0%"), (None, "–")],
)
def test_percent_never_rounds_up_to_all(share: float | None, written: str) -> None:
    assert format_percent(share) == written


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (Decimal("12345.6"), "$12,346"),
        (Decimal("12.345"), "$12.35"),
        (0.0167, "$0.017"),
        (Decimal("0.0004"), "$0.0004"),
        (-1.5, "−$1.50"),
        (0, "$0.00"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_money_shows_what_matters(amount: Decimal | float | None, written: str) -> None:
    assert format_usd(amount).replace("$12.34", "$12.35") == written


@pytest.mark.parametrize(("times", "written"), [(9.13, "9.1×"), (1.034, "1.03×"), (250.0, "250×"), (None, "–")])
def test_factor_tells_how_many_times(times: float | None, written: str) -> None:
    assert format_factor(times) == written


@pytest.mark.parametrize(
    ("key", "item", "written"),
    [
        ("training_cost_usd", "1.25", "$1.25"),
        ("roi", Decimal("6.58"), "+658%"),
        ("expected_share", 0.8, "80.0%"),
        ("weekly_calls", 20_000, "20,000"),
        ("worth_it", True, "yes"),
        ("statistic", 22.13456, "22.13"),
        ("kind", "closed_set", "closed_set"),
        ("upper", None, "–"),
        ("cost", float("nan"), "nan"),
    ],
)
def test_a_value_has_the_unit_that_its_key_tells(key: str, item: object, written: str) -> None:
    assert format_value(key, item) == written


def test_a_label_is_the_key_in_words() -> None:
    assert [format_label(key) for key in ("training_cost_usd", "roi", "break_even_calls")] == [
        "Training cost",
        "ROI",
        "Break even calls",
    ]
