"""Numbers as answers write them: whole ones are exact, others equal within a tolerance."""

import math
from decimal import Decimal

RELATIVE_TOLERANCE = 1e-6


def parse_number(text: str) -> int | float:
    """A number written in digits; one that is whole is an integer, however it is written.

    Raises ValueError beyond any float.

    >>> parse_number("9007199254740993.0"), parse_number("1e3"), parse_number("0.5")
    (9007199254740993, 1000, 0.5)
    """
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"a number of {len(text)} characters is beyond any float")
    if value == 0:
        return 0
    if not value.is_integer():
        return value
    # A float holds no more than 53 bits of what is written.
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else value


def is_same_number(one: float, other: float, tolerance: float = RELATIVE_TOLERANCE) -> bool:
    """Whether two numbers are equal; the tolerance is for those of which one at least is not whole."""
    if one == other:
        return True
    if _is_whole(one) and _is_whole(other):
        return False
    try:
        return math.isclose(one, other, rel_tol=tolerance)
    except OverflowError:  # an integer beyond any float
        return False


def _is_whole(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()
