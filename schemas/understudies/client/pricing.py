"""What a teacher's call costs."""

from collections.abc import Callable
from decimal import Decimal

from understudies.events import Usage, usd

Price = Callable[[str, Usage], Decimal]
"""The cost in US dollars of a call, from the model's name and the usage."""

_MILLION = 1_000_000


def per_million(prompt: float | str, completion: float | str, cached: float | str | None = None) -> Price:
    """One price for all calls, in US dollars per million tokens; cached prompt tokens cost the same by default."""
    cached_price = usd(prompt if cached is None else cached)

    def price(model: str, usage: Usage) -> Decimal:
        fresh = max(usage.prompt_tokens - usage.cached_tokens, 0)
        total = fresh * usd(prompt) + usage.cached_tokens * cached_price + usage.completion_tokens * usd(completion)
        return usd(total / _MILLION)

    return price
