"""Estimate what would save instead of a student: prompt caching, a shorter prompt, the batch tier, a cheaper model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from understudies.economics.prices import call_cost
from understudies.events import Usage, UsageDetails, usd

_CACHE_LIFETIME: Final = timedelta(minutes=5)
"""How long providers keep a prefix at least after its last use."""
_MIN_CACHED_TOKENS: Final = (("*claude*haiku*", 4096), ("*claude*opus-4-5*", 4096), ("*", 1024))
"""Fewest tokens of a prefix that providers cache, by the model's name; the largest that a provider's documents name."""
_WRITES_COST: Final = ("*claude*",)
"""Models whose provider charges for writing a prefix into its cache."""
_CHEAPER_MODELS: Final = ("gpt-5-nano", "gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash-lite")
_MIN_SHARE: Final = Decimal("0.02")
"""Part of a task's cost below which a saving is not worth a sentence."""


@dataclass(frozen=True, slots=True)
class PricedCall:
    """A call as far as its price depends on it; `prompt` is all that was sent, in the order of providers' caches."""

    at: datetime
    model: str
    usage: Usage
    prompt: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way to save without a student: what it would have saved of what the same calls cost, in US dollars."""

    name: str
    saved_usd: Decimal
    cost_usd: Decimal
    sentence: str

    @property
    def share(self) -> Decimal:
        """The part of the cost that is saved."""
        return self.saved_usd / self.cost_usd if self.cost_usd else Decimal(0)


def find_alternatives(calls: Sequence[PricedCall]) -> list[Alternative]:
    """Return what would have saved at least 2% of a task's cost, the largest first, each by itself: they do not add up.

    Only calls whose model and tokens are known are counted. Prices are those of the public list today: what is
    decided now is paid at these, and the list has no rates of batches for earlier days.
    """
    priced = [(call, cost) for call in sorted(calls, key=lambda call: call.at) if (cost := _cost(call)) is not None]
    total = sum((cost for _, cost in priced), Decimal(0))
    if not total:
        return []
    known = [call for call, _ in priced]
    found = [*_caching(known, total), *_shorter_prompt(known, total), *_batch(known, total), *_cheaper(known, total)]
    return sorted((one for one in found if one.share >= _MIN_SHARE), key=lambda one: one.saved_usd, reverse=True)


def _cost(call: PricedCall, model: str | None = None, usage: Usage | None = None) -> Decimal | None:
    # What a provider stated that it charged says nothing about other prices.
    usage = usage or call.usage
    if usage.details is not None and usage.details.stated_cost_usd:
        usage = usage.model_copy(update={"details": usage.details.model_copy(update={"stated_cost_usd": None})})
    return call_cost(model or call.model, usage)


def _caching(calls: Sequence[PricedCall], total: Decimal) -> Iterator[Alternative]:
    """Price each prefix that a call shares with the one before it, if that came within the cache's lifetime."""
    cost, cached, prompt_tokens = Decimal(0), 0, 0
    previous: dict[str, PricedCall] = {}
    for call in calls:
        earlier = previous.get(call.model)
        previous[call.model] = call
        prompt_tokens += call.usage.prompt_tokens
        tokens = 0 if earlier is None else _shared_tokens(earlier, call)
        usage = call.usage
        if tokens >= _min_cached_tokens(call.model):
            assert earlier is not None
            if call.at - earlier.at <= _CACHE_LIFETIME:
                usage = usage.model_copy(update={"cached_tokens": max(tokens, usage.cached_tokens)})
                cached += usage.cached_tokens
            elif any(fnmatchcase(call.model, pattern) for pattern in _WRITES_COST):
                details = (usage.details or UsageDetails()).model_copy(update={"cache_write_tokens": tokens})
                usage = usage.model_copy(update={"details": details})
        cost += _cost(call, usage=usage) or Decimal(0)
    if cached:
        yield _alternative(
            "prompt caching",
            total,
            total - cost,
            f"{cached / prompt_tokens:.0%} of the prompt tokens repeat the beginning of the call before, less than "
            f"{_CACHE_LIFETIME.seconds // 60} minutes earlier",
        )


def _shared_tokens(earlier: PricedCall, call: PricedCall) -> int:
    """Estimate the tokens of the common beginning of two prompts by its part of the characters."""
    if not call.prompt:
        return 0
    shared = _shared_length(earlier.prompt, call.prompt)
    return int(call.usage.prompt_tokens * shared / len(call.prompt))


def _shared_length(one: str, other: str) -> int:
    """Return the number of characters with which both texts begin.

    >>> _shared_length("prompt A", "prompt B"), _shared_length("", "a"), _shared_length("ab", "ab")
    (7, 0, 2)
    """
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _min_cached_tokens(model: str) -> int:
    return next(tokens for pattern, tokens in _MIN_CACHED_TOKENS if fnmatchcase(model, pattern))


def _shorter_prompt(calls: Sequence[PricedCall], total: Decimal) -> Iterator[Alternative]:
    """Price all calls with half of the text with which they all begin."""
    # What the first and the last in order of the alphabet begin with, all others begin with.
    prompts = [call.prompt for call in calls]
    fixed = _shared_length(min(prompts), max(prompts))
    if len(calls) < 2 or not fixed:
        return
    cost, fixed_tokens = Decimal(0), 0
    for call in calls:
        tokens = int(call.usage.prompt_tokens * fixed / len(call.prompt))
        fixed_tokens += tokens
        fewer = call.usage.prompt_tokens - tokens // 2
        cached = min(call.usage.cached_tokens, fewer)
        cost += _cost(
            call, usage=call.usage.model_copy(update={"prompt_tokens": fewer, "cached_tokens": cached})
        ) or Decimal(0)
    yield _alternative(
        "a shorter prompt",
        total,
        total - cost,
        f"every call begins with the same {fixed_tokens // len(calls):,} tokens or so; this is for half as many",
    )


def _batch(calls: Sequence[PricedCall], total: Decimal) -> Iterator[Alternative]:
    cost = Decimal(0)
    for call in calls:
        details = (call.usage.details or UsageDetails()).model_copy(update={"service_tier": "batch"})
        batched = _cost(call, usage=call.usage.model_copy(update={"details": details}))
        # A model without a price for batches is not free in one.
        cost += (_cost(call) or Decimal(0)) if batched is None else batched
    yield _alternative("the batch tier", total, total - cost, "for calls that can wait for hours")


def _cheaper(calls: Sequence[PricedCall], total: Decimal) -> Iterator[Alternative]:
    costs: dict[str, Decimal] = {}
    for candidate in _CHEAPER_MODELS:
        prices = [price for call in calls if (price := _cost(call, candidate)) is not None]
        if len(prices) == len(calls):
            costs[candidate] = sum(prices, Decimal(0))
    if costs:
        model, cost = min(costs.items(), key=lambda item: item[1])
        yield _alternative(
            "a cheaper model",
            total,
            total - cost,
            f"{model} at the same tokens; name it as UNDERSTUDIES_TRAINER_FEW_SHOT_ENDPOINT, and it has to prove "
            "itself as a student under the same gate",
        )


def _alternative(name: str, total: Decimal, saved: Decimal, reason: str) -> Alternative:
    one = Alternative(name, usd(saved), usd(total), "")
    return replace(
        one, sentence=f"{name} would save about {one.share:.0%} of {one.cost_usd:.2f} USD at today's prices: {reason}"
    )
