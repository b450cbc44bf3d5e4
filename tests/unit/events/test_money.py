from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from understudies.events import Usd, usd

NANOS = st.integers(-(10**18), 10**18)


class Bill(BaseModel):
    total: Usd


@given(NANOS)
def test_a_billionth_is_exact(nanos: int) -> None:
    exact = Decimal(nanos).scaleb(-9)
    assert usd(exact) == exact
    assert usd(str(exact)) == exact


@given(NANOS)
def test_money_survives_json(nanos: int) -> None:
    bill = Bill(total=Decimal(nanos).scaleb(-9))
    assert Bill.model_validate_json(bill.model_dump_json()) == bill


@given(st.lists(NANOS, max_size=50))
def test_sums_are_exact(amounts: list[int]) -> None:
    assert sum((usd(Decimal(n).scaleb(-9)) for n in amounts), usd(0)) == Decimal(sum(amounts)).scaleb(-9)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.0000000005", "0"),
        ("0.0000000015", "0.000000002"),
        (0.1, "0.1"),
        (3, "3"),
        ("1E+2", "100"),
        (5.5328e-06, "0.000005533"),
        ("-0.0", "0"),
        ("100.000000000", "100"),
    ],
)
def test_amounts_are_rounded_half_to_even_and_written_plainly(amount: str | float, expected: str) -> None:
    assert usd(amount) == Decimal(expected)
    assert Bill.model_validate({"total": amount}).model_dump_json() == f'{{"total":"{expected}"}}'


@pytest.mark.parametrize("amount", ["nan", "sNaN", "inf", "-Infinity", float("nan"), float("inf"), "1e30", "abc", ""])
def test_what_is_no_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(ValueError, match="not an amount of money"):
        usd(amount)
    with pytest.raises(ValidationError):
        Bill.model_validate({"total": amount})


@pytest.mark.parametrize("text", ["NaN", "Infinity", '"NaN"', "1e400", "true", "null", '"1e30"'])
def test_what_is_no_amount_is_refused_in_json(text: str) -> None:
    with pytest.raises(ValidationError):
        Bill.model_validate_json(f'{{"total":{text}}}')


def test_the_precision_of_the_thread_does_not_matter() -> None:
    with localcontext() as context:
        context.prec = 4
        assert usd("1234567.123456789") == Decimal("1234567.123456789")
        assert Bill.model_validate({"total": "1234567.123456789"}).model_dump_json() == '{"total":"1234567.123456789"}'
