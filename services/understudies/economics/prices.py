"""Compute the cost of a call from token counts and prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from understudies.events import Usage, usd

DEFAULT_TEACHER_CALL_USD = usd("0.03")
"""Assumed cost of a teacher's call without a price, and without a known model and usage."""

_PER_MTOK = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model in US dollars per million tokens.

    Parameters
    ----------
    input_per_mtok, output_per_mtok
        Prices of prompt and completion tokens, at least 0.
    cached_input_per_mtok
        Price of prompt tokens read from the provider's cache; the full input price when None.

    Raises
    ------
    ValueError
        When a price is negative or not finite.

    Examples
    --------
    >>> price = Price(Decimal("3"), Decimal("15"), cached_input_per_mtok=Decimal("0.3"))
    >>> price.cost(Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=500))
    Decimal('0.003150000')
    """

    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value: Decimal | None = getattr(self, name)
            if value is not None and not (value.is_finite() and value >= 0):
                raise ValueError(f"{name} must be a price of at least 0, got {value!r}")

    def cost(self, usage: Usage) -> Decimal:
        """Return the cost of one call in US dollars; the prompt tokens include the cached tokens."""
        prompt = usage.prompt_tokens * self.input_per_mtok
        if usage.cached_tokens and self.cached_input_per_mtok is not None:
            cached = min(usage.cached_tokens, usage.prompt_tokens)
            uncached = (usage.prompt_tokens - cached) * self.input_per_mtok
            prompt = uncached + cached * self.cached_input_per_mtok
        return usd((prompt + usage.completion_tokens * self.output_per_mtok) / _PER_MTOK)


def call_cost(model: str, usage: Usage, *, at: datetime | None = None) -> Decimal | None:
    """Return the cost of one call in US dollars by the public price list, or None if model or usage are unknown.

    Parameters
    ----------
    model
        The model's own name; a leading provider, as in `anthropic/...`, selects the provider.
    usage
        Token counts; the prompt tokens include the cached tokens. Without any, the usage counts as unknown.
    at
        The time of the call, because prices change; without it, today's prices.

    Examples
    --------
    >>> call_cost("gpt-4o-mini", Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=500))
    Decimal('0.000172500')
    >>> call_cost("a-model-of-our-own", Usage(prompt_tokens=1000)) is None
    True
    >>> call_cost("gpt-4o-mini", Usage()) is None
    True
    """
    if not usage.counted:
        return None
    # Imported here: the price list is a large module, and is installed only with the services.
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.prompt_tokens),
    )
    for reference in _references(model):
        try:
            price = genai_prices.calc_price(counted, **reference, genai_request_timestamp=at)
        except LookupError:
            continue
        return usd(price.total_price)
    return None


def teacher_call_cost(
    model: str, usage: Usage, price: Price | Decimal | None = None, *, at: datetime | None = None
) -> Decimal:
    """Return the cost of one call of the teacher: by an explicit price, else by the price list, else $0.03.

    Parameters
    ----------
    model, usage, at
        As for `call_cost`.
    price
        A `Price` per million tokens, or a flat amount per call; it overrides the price list.

    Examples
    --------
    >>> teacher_call_cost("gpt-4o-mini", Usage(prompt_tokens=1000), Decimal("0.002"))
    Decimal('0.002000000')
    >>> teacher_call_cost("a-model-of-our-own", Usage(prompt_tokens=1000))
    Decimal('0.030000000')
    """
    if isinstance(price, Price):
        return price.cost(usage)
    if price is not None:
        return usd(price)
    listed = call_cost(model, usage, at=at)
    return DEFAULT_TEACHER_CALL_USD if listed is None else listed


def _references(model: str) -> list[dict[str, Any]]:
    provider, slash, name = model.partition("/")
    named = [{"provider_id": provider, "model_ref": name}] if slash and name else []
    return [{"model_ref": model}, *named] if model else []
