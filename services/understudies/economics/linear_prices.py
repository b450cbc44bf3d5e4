"""Price many calls by the public price list, which takes 60 µs for each: where its prices are linear, they are kept."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Final

from understudies.economics.prices import Price, call_cost
from understudies.events import Usage, UsageDetails

BATCH_TIER: Final = UsageDetails(service_tier="batch")
_PROBE_TOKENS: Final = 1000
_LINEAR_LIMITS: Final = (2_000_000, 100_000)
_MAX_MODELS: Final = 1000
_MAX_USAGES: Final = 4096

UsageCost = Callable[[Usage], Decimal | None]


class TodaysPrices:
    """The costs of `call_cost` at today's prices, for many calls of a few models.

    >>> prices = TodaysPrices()
    >>> [prices.cost("gpt-4o-mini", Usage(prompt_tokens=tokens)) for tokens in (1000, 2000)]
    [Decimal('0.000150000'), Decimal('0.000300000')]
    """

    def __init__(self) -> None:
        self._usual = lru_cache(maxsize=_MAX_MODELS)(find_usage_cost)
        self._batched = lru_cache(maxsize=_MAX_MODELS)(partial(find_usage_cost, details=BATCH_TIER))
        self._by_usage = lru_cache(maxsize=_MAX_USAGES)(call_cost)

    def cost(self, model: str, usage: Usage) -> Decimal | None:
        """Return the cost of a call in US dollars, or None if model or usage are unknown."""
        if usage.details is None:
            return self._usual(model)(usage)
        if usage.details == BATCH_TIER:
            return self._batched(model)(usage)
        return self._by_usage(model, usage)  # pyright: ignore[reportArgumentType] # frozen models have a hash


def find_usage_cost(model: str, details: UsageDetails | None = None, *, at: datetime | None = None) -> UsageCost:
    """Return the function of `call_cost` for a model's usages; it is linear for those with just these details.

    Some models have a second price for long prompts: for those, calls that are not short always consult the price list.
    """

    def consult(usage: Usage) -> Decimal | None:
        return call_cost(model, usage, at=at)

    probes = [consult(usage) for usage in _probe_usages(_PROBE_TOKENS, details)]
    if None in probes:
        return lambda usage: None if usage.details == details else consult(usage)
    price = Price(*(cost * 1_000_000 / _PROBE_TOKENS for cost in probes if cost is not None))
    for limit in _LINEAR_LIMITS:
        if all(price.cost(usage) == consult(usage) for usage in _probe_usages(limit, details)):
            return _linear_below(limit, price, details, consult)
    return consult


def _linear_below(limit: int, price: Price, details: UsageDetails | None, beyond: UsageCost) -> UsageCost:
    def cost(usage: Usage) -> Decimal | None:
        most = max(usage.prompt_tokens, usage.completion_tokens)
        # Writes to a cache, other tiers, searches and stated costs are no part of the linear price.
        return price.cost(usage) if 0 < most <= limit and usage.details == details else beyond(usage)

    return cost


def _probe_usages(tokens: int, details: UsageDetails | None) -> tuple[Usage, Usage, Usage]:
    return (
        Usage(prompt_tokens=tokens, details=details),
        Usage(completion_tokens=tokens, details=details),
        Usage(prompt_tokens=tokens, cached_tokens=tokens, details=details),
    )
