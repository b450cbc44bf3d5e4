"""Price recorded calls."""

from decimal import Decimal

from understudies.backtest.recorded_call import RecordedCall
from understudies.economics.prices import teacher_call_cost
from understudies.events import usd


def resolve_price(call: RecordedCall, teacher_price: Decimal | None = None) -> Decimal:
    """Return the price of a call in US dollars: as given, else as recorded, else by model and usage, else 0.03."""
    if teacher_price is not None:
        return usd(teacher_price)
    if call.recorded_cost is not None:
        return usd(call.recorded_cost)
    return teacher_call_cost(call.model, call.usage)
