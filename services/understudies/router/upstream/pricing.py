"""What a teacher's call cost, from a price list that is looked up once a minute for each model."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, Price, call_cost, teacher_call_cost
from understudies.events import Usage

_PROBE_TOKENS: Final = 1000
_LINEAR_LIMITS: Final = (2_000_000, 100_000)
_MAX_CACHED_PRICES: Final = 1000

UsageCost = Callable[[Usage], Decimal]


class PriceCache:
    """Costs as `teacher_call_cost` has them; looking one up takes 60 µs, which is much of a call.

    Prices change at hours of the day, so what was found holds for the minute of the call. Some models have a second
    price for long prompts: there the list is asked about every call that is not short.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, float], UsageCost] = {}
        # The price list takes a moment to load: now, not during the first call.
        teacher_call_cost("", Usage(prompt_tokens=1))

    def cost(self, model: str, usage: Usage, price: Price | Decimal | None, at: datetime) -> Decimal:
        """What a call cost, in US dollars."""
        if price is not None:
            return teacher_call_cost(model, usage, price, at=at)
        minute = at.timestamp() // 60
        cost = self._found.get((model, minute))
        if cost is None:
            if len(self._found) >= _MAX_CACHED_PRICES:
                self._found.clear()
            cost = self._found[model, minute] = _find_cost(model, at.replace(second=0, microsecond=0))
        return cost(usage)


def _find_cost(model: str, at: datetime) -> UsageCost:
    probes = [call_cost(model, usage, at=at) for usage in _probe_usages(_PROBE_TOKENS)]
    if None in probes:
        return lambda _: DEFAULT_TEACHER_CALL_USD
    price = Price(*(cost * 1_000_000 / _PROBE_TOKENS for cost in probes if cost is not None))
    for limit in _LINEAR_LIMITS:
        if all(price.cost(usage) == call_cost(model, usage, at=at) for usage in _probe_usages(limit)):
            return _linear_below(limit, price, lambda usage: teacher_call_cost(model, usage, at=at))
    return lambda usage: teacher_call_cost(model, usage, at=at)


def _linear_below(limit: int, price: Price, beyond: UsageCost) -> UsageCost:
    def cost(usage: Usage) -> Decimal:
        most = max(usage.prompt_tokens, usage.completion_tokens)
        return price.cost(usage) if 0 < most <= limit else beyond(usage)

    return cost


def _probe_usages(tokens: int) -> tuple[Usage, Usage, Usage]:
    return (
        Usage(prompt_tokens=tokens),
        Usage(completion_tokens=tokens),
        Usage(prompt_tokens=tokens, cached_tokens=tokens),
    )
