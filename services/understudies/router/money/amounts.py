"""US dollars as whole billionths, as the online state counts them."""

from decimal import Decimal

from understudies.events import usd
from understudies.runtime.online import MAX_NANOS


def to_nanos(amount: Decimal) -> int:
    """Billionths of an amount of US dollars; raises ValueError for less than none, or more than nine million dollars.

    >>> nanos(Decimal("0.000000012"))
    12
    """
    whole = int(usd(amount).scaleb(9))
    if not 0 <= whole <= MAX_NANOS:
        raise ValueError(f"not an amount that can be spent: {amount!r}")
    return whole


def from_nanos(whole: int) -> Decimal:
    """The amount of US dollars of so many billionths.

    >>> dollars(12)
    Decimal('1.2E-8')
    """
    return usd(Decimal(whole).scaleb(-9))
