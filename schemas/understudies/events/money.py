"""US dollars as exact decimals."""

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, WithJsonSchema

NANO = Decimal("0.000000001")
_CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)


def usd(amount: Decimal | str | float) -> Decimal:
    """Round an amount of US dollars to 1e-9, half to even; a float is read by its shortest decimal form.

    Raises ValueError if it is not a finite number, or has more than 19 digits before the point.

    >>> usd(0.1) * 3
    Decimal('0.300000000')
    """
    try:
        exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
        rounded = exact.quantize(NANO, None, _CONTEXT)
    except InvalidOperation:
        raise ValueError(f"not an amount of money: {amount!r}") from None
    if not rounded.is_finite():
        raise ValueError(f"not an amount of money: {amount!r}")
    return rounded or abs(rounded)


def usd_text(amount: Decimal) -> str:
    """Format an amount for JSON: without exponent and trailing zeros.

    >>> usd_text(usd(0)), usd_text(usd("0.000000010"))
    ('0', '0.00000001')
    """
    return format(amount.normalize(_CONTEXT), "f")


Usd = Annotated[
    Decimal,
    AfterValidator(usd),
    PlainSerializer(usd_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "description": "US dollars, a decimal number of at most 9 places"}),
]
"""A field of US dollars: written to JSON as a decimal string, read from a string or a number."""
