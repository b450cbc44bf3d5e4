"""What a teacher's call cost, from a price list that is looked up once a minute for each model."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, Price, call_cost, teacher_call_cost
from understudies.events import Usage

_PROBE: Final = 1000
_LIMITS: Final = (2_000_000, 100_000)
_REMEMBERED: Final = 1000

Cost = Callable[[Usage], Decimal]


class Prices:
    """Costs as `teacher_call_cost` has them; looking one up takes 60 µs, which is much of a call.

    Prices change at hours of the day, so what was found holds for the minute of the call. Some models have a second
    price for long prompts: there the list is asked about every call that is not short.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, float], Cost] = {}
        # The price list takes a moment to load: now, not during the first call.
        teacher_call_cost("", Usage(prompt_tokens=1))

    def cost(self, model: str, usage: Usage, price: Price | Decimal | None, at: datetime) -> Decimal:
        """What a call cost, in US dollars."""
        if price is not None:
            return teacher_call_cost(model, usage, price, at=at)
        minute = at.timestamp() // 60
        cost = self._found.get((model, minute))
        if cost is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            cost = self._found[model, minute] = _cost_of(model, at.replace(second=0, microsecond=0))
        return cost(usage)


def _cost_of(model: str, at: datetime) -> Cost:
    probes = [call_cost(model, usage, at=at) for usage in _usages(_PROBE)]
    if None in probes:
        return lambda _: DEFAULT_TEACHER_CALL_USD
    price = Price(*(cost * 1_000_000 / _PROBE for cost in probes if cost is not None))
    for limit in _LIMITS:
        if all(price.cost(usage) == call_cost(model, usage, at=at) for usage in _usages(limit)):
            return _below(limit, price, lambda usage: teacher_call_cost(model, usage, at=at))
    return lambda usage: teacher_call_cost(model, usage, at=at)


def _below(limit: int, price: Price, beyond: Cost) -> Cost:
    def cost(usage: Usage) -> Decimal:
        most = max(usage.prompt_tokens, usage.completion_tokens)
        return price.cost(usage) if 0 < most <= limit else beyond(usage)

    return cost


def _usages(tokens: int) -> tuple[Usage, Usage, Usage]:
    return (
        Usage(prompt_tokens=tokens),
        Usage(completion_tokens=tokens),
        Usage(prompt_tokens=tokens, cached_tokens=tokens),
    )
