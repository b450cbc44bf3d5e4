"""What a recorded call cost."""

from decimal import Decimal

from understudies.backtest.recorded import RecordedCall
from understudies.economics.prices import call_cost
from understudies.events import usd

DEFAULT_PRICE = usd("0.03")
"""US dollars for a call whose price is neither given, nor recorded, nor known for its model."""


def price_of(call: RecordedCall, teacher_price: Decimal | None = None) -> Decimal:
    """The teacher's price of a call in US dollars: as given, as recorded, by model and usage, or 0.03."""
    if teacher_price is not None:
        return usd(teacher_price)
    if call.recorded_cost is not None:
        return usd(call.recorded_cost)
    known = call_cost(call.model, call.usage) if call.model else None
    return DEFAULT_PRICE if known is None else usd(known)
