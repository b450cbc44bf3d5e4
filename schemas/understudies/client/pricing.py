"""Prices of a teacher's calls."""

from collections.abc import Callable
from decimal import Decimal

from understudies.events import Usage, usd

Price = Callable[[str, Usage], Decimal | None]
"""Computes the cost of a call in US dollars from the model's name and the usage; None if it is unknown."""

_MILLION = 1_000_000


def per_million(prompt: float | str, completion: float | str, cached: float | str | None = None) -> Price:
    """Charge every call the same price, in US dollars per million tokens.

    Cached prompt tokens cost as much as other prompt tokens by default.
    """
    fresh_price, completion_price = usd(prompt), usd(completion)
    cached_price = usd(prompt if cached is None else cached)
    free = not (fresh_price or completion_price or cached_price)

    def price(model: str, usage: Usage) -> Decimal | None:
        if not usage.counted and not free:
            return None
        fresh = max(usage.prompt_tokens - usage.cached_tokens, 0)
        total = fresh * fresh_price + usage.cached_tokens * cached_price + usage.completion_tokens * completion_price
        return usd(total / _MILLION)

    return price
