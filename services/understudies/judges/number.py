"""Parse and compare numbers in answers: whole numbers exactly, others within a tolerance."""

import math
from decimal import Decimal

RELATIVE_TOLERANCE = 1e-6


def parse_number(text: str) -> int | float:
    """Parse a number written in digits; a whole number becomes an integer, however it is written.

    Raises ValueError for a number beyond the range of floats.

    >>> parse_number("9007199254740993.0"), parse_number("1e3"), parse_number("0.5")
    (9007199254740993, 1000, 0.5)
    """
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"a number of {len(text)} characters is beyond the range of floats")
    if value == 0:
        return 0
    if not value.is_integer():
        return value
    # A float has only 53 bits of precision.
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else value


def is_same_number(one: float, other: float, tolerance: float = RELATIVE_TOLERANCE) -> bool:
    """Return whether two numbers are equal; the tolerance applies unless both are whole."""
    if one == other:
        return True
    if _is_whole(one) and _is_whole(other):
        return False
    try:
        return math.isclose(one, other, rel_tol=tolerance)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _is_whole(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()
