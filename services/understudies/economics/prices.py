"""Compute the cost of a call from token counts and prices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from understudies.events import Usage, UsageDetails, usd

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

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

    What the provider itself states that it charged precedes the list.

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
    details = usage.details
    if details is not None and details.stated_cost_usd:
        return details.stated_cost_usd
    if not usage.counted:
        return None
    # Imported here: the price list is a large module, and is installed only with the services.
    import genai_prices

    counted = genai_prices.Usage(**_list_usage(usage))
    tier, place = _split_tier("" if details is None else details.service_tier)
    context = _list_context(tier)
    for reference in _references(model):
        try:
            price = genai_prices.calc_price(counted, **reference, genai_request_timestamp=at, price_context=context)
        except LookupError:
            continue
        if _AUDIO_NAME.search(model) and price.model_price.input_audio_mtok is None:
            continue  # its list price is that of text, and audio costs many times as much
        total = price.total_price
        if details is not None:
            since = _listed_since(price, details, context, at)
            if since is None:
                continue
            if since > (at or datetime.now(tz=UTC)):
                # The list has a tier's price from the day on that it learned of it, not from that of the tier.
                usual = genai_prices.calc_price(counted, **reference, genai_request_timestamp=since).total_price
                tier_price = genai_prices.calc_price(
                    counted, **reference, genai_request_timestamp=since, price_context=context
                )
                total = total * tier_price.total_price / usual if usual else tier_price.total_price
        if place != _US_ONLY:
            return usd(total)
        searches = Decimal(0) if details is None else details.web_searches * _search_usd(price)
        return usd((total - searches) * _US_ONLY_FACTOR + searches)
    return None


def _listed_since(
    price: PriceCalculation, details: UsageDetails, context: dict[str, str] | None, at: datetime | None
) -> datetime | None:
    """Return since when the list knows the price of all that the details tell; None if it knows the usual one alone.

    The list itself gives the usual price for a tier it does not know, and nothing for searches without a price.
    """
    if details.web_searches and price.model_price.web_searches_kcount is None:
        return None
    tier, place = _split_tier(details.service_tier)
    if place and (place != _US_ONLY or price.provider.id != "anthropic"):
        return None
    always = datetime.min.replace(tzinfo=UTC)
    if context is None or (price.provider.id, tier) in _AT_THE_USUAL_PRICE:
        return always
    starts: list[datetime] = []
    for variant in price.model.price_variants or ():
        if any(context.get(name) != value for name, value in variant.when.items()):
            continue
        if variant.constraint is None or variant.constraint.active(at or datetime.now(tz=UTC)):
            return always
        if (start := getattr(variant.constraint, "start_date", None)) is not None:
            starts.append(datetime(start.year, start.month, start.day, tzinfo=UTC))
    return min(starts, default=None)


def _list_usage(usage: Usage) -> dict[str, int]:
    """Return the usage under the names of the price list, where each count includes those of its kinds."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    counts = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_tokens": cached,
    }
    details = usage.details
    if details is None:
        return counts
    written = min(details.cache_write_tokens, usage.prompt_tokens - cached)
    more = {
        "cache_write_tokens": written,
        "cache_write_1h_tokens": min(details.cache_write_1h_tokens, written),
        "input_audio_tokens": min(details.audio_prompt_tokens, usage.prompt_tokens),
        "output_audio_tokens": min(details.audio_completion_tokens, usage.completion_tokens),
        "web_searches": details.web_searches,
    }
    counts |= {name: count for name, count in more.items() if count}
    if "input_audio_tokens" in counts:
        # The list wants to know which cached tokens were audio; providers do not tell.
        counts |= {"cache_audio_read_tokens": 0, "cache_audio_write_tokens": 0, "cache_audio_write_1h_tokens": 0}
    return counts


def _split_tier(named: str) -> tuple[str, str]:
    """Return the tier, and the place where the inference had to run, which comes alone or after a `+`."""
    tier, _, place = named.rpartition("+")
    return (tier, place) if tier or place == _US_ONLY else (place, "")


def _search_usd(price: PriceCalculation) -> Decimal:
    per_thousand = price.model_price.web_searches_kcount
    return per_thousand / 1000 if isinstance(per_thousand, Decimal) else Decimal(0)


def _list_context(tier: str) -> dict[str, str] | None:
    """Return the conditions under which the list has other prices."""
    if not tier:
        return None
    if tier == _FAST:
        return {"service_tier": tier, "speed": tier}  # OpenAI's name and Anthropic's
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier}


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
    """Return what the price list may know a model by: its name, that at a provider, and the last part of a path."""
    if not model:
        return []
    provider, slash, name = model.partition("/")
    references: list[dict[str, Any]] = [{"model_ref": model}]
    if slash and name:
        references += [{"provider_id": provider, "model_ref": name}, {"model_ref": model.rpartition("/")[2]}]
    if _BEDROCK_NAME.match(name or model):
        references.append({"provider_id": "aws", "model_ref": name or model})
    return references


_FAST = "fast"
_AT_THE_USUAL_PRICE = frozenset({("groq", "flex")})
"""Providers' tiers without a price of their own; see https://console.groq.com/docs/flex-processing."""
_US_ONLY = "us"
_US_ONLY_FACTOR = Decimal("1.1")
"""What inference in the United States alone costs on Claude's own API, relative to the usual price of all tokens.

See https://platform.claude.com/docs/en/about-claude/pricing and manage-claude/data-residency there.
"""
_AUDIO_NAME = re.compile(r"(?i)(?:^|[-/._])(?:audio|realtime)(?:$|[-._@])")
_BEDROCK_NAME = re.compile(
    r"(?:[a-z]{2}(?:-gov)?\.|apac\.|global\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral)\."
)
"""Matches the names of Bedrock, with or without the region of an inference profile."""
