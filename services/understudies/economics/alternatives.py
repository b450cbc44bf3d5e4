"""Estimate what would save instead of a student: prompt caching, a shorter prompt, the batch tier, a cheaper model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from understudies.economics.linear_prices import BATCH_TIER, TodaysPrices
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


def find_alternatives(calls: Callable[[], Iterable[PricedCall]]) -> list[Alternative]:
    """Return what would have saved at least 2% of a task's cost, the largest first, each by itself: they do not add up.

    `calls` yields all calls in the order of their times whenever it is called. Only those whose model and tokens are
    known are counted. Prices are those of the public list today: what is decided now is paid at these, and the list
    has no rates of batches for earlier days.
    """
    prices = _Prices()
    total, beginning = Decimal(0), _CommonBeginning()
    for call in calls():
        cost = prices.cost(call.model, call.usage)
        if cost is not None:
            total += cost
            beginning.add(call.prompt)
    if not total:
        return []
    fixed = beginning.measure()
    estimates = (_Caching(prices), _ShorterPrompt(prices, fixed), _BatchTier(prices), _CheaperModel(prices))
    for call in calls():
        if prices.cost(call.model, call.usage) is not None:
            for estimate in estimates:
                estimate.add(call)
    found = [one for estimate in estimates if (one := estimate.conclude(total)) is not None]
    return sorted((one for one in found if one.share >= _MIN_SHARE), key=lambda one: one.saved_usd, reverse=True)


class _Prices(TodaysPrices):
    """Today's prices in the list, whatever a provider stated that it charged, which says nothing about others."""

    def cost(self, model: str, usage: Usage) -> Decimal | None:
        """Return the price of a call in US dollars, or None if model or usage are unknown."""
        if usage.details is not None and usage.details.stated_cost_usd:
            usage = usage.model_copy(update={"details": usage.details.model_copy(update={"stated_cost_usd": None})})
        return super().cost(model, usage)


class _CommonBeginning:
    """Find what all prompts begin with: what the first and the last in order of the alphabet do, all others do too."""

    def __init__(self) -> None:
        self._prompts = 0
        self._first = self._last = ""

    def add(self, prompt: str) -> None:
        self._first = min(self._first, prompt) if self._prompts else prompt
        self._last = max(self._last, prompt)
        self._prompts += 1

    def measure(self) -> int:
        """Return its characters; 0 for a single prompt, of which nothing repeats."""
        return _shared_length(self._first, self._last) if self._prompts > 1 else 0


class _Caching:
    """Price each prefix that a call shares with the one before it, if that came within the cache's lifetime."""

    def __init__(self, prices: _Prices) -> None:
        self._prices = prices
        self._cost = Decimal(0)
        self._cached = self._prompt_tokens = 0
        self._previous: dict[str, PricedCall] = {}

    def add(self, call: PricedCall) -> None:
        earlier = self._previous.get(call.model)
        self._previous[call.model] = call
        self._prompt_tokens += call.usage.prompt_tokens
        tokens = 0 if earlier is None else _shared_tokens(earlier, call)
        usage = call.usage
        if tokens >= _min_cached_tokens(call.model):
            assert earlier is not None
            if call.at - earlier.at <= _CACHE_LIFETIME:
                usage = usage.model_copy(update={"cached_tokens": max(tokens, usage.cached_tokens)})
                self._cached += usage.cached_tokens
            elif any(fnmatchcase(call.model, pattern) for pattern in _WRITES_COST):
                details = (usage.details or UsageDetails()).model_copy(update={"cache_write_tokens": tokens})
                usage = usage.model_copy(update={"details": details})
        self._cost += self._prices.cost(call.model, usage) or Decimal(0)

    def conclude(self, total: Decimal) -> Alternative | None:
        if not self._cached:
            return None
        return _alternative(
            "prompt caching",
            total,
            total - self._cost,
            f"{self._cached / self._prompt_tokens:.0%} of the prompt tokens repeat the beginning of the call before, "
            f"less than {_CACHE_LIFETIME.seconds // 60} minutes earlier",
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


class _ShorterPrompt:
    """Price all calls with half of the text with which they all begin, of so many characters."""

    def __init__(self, prices: _Prices, fixed: int) -> None:
        self._prices = prices
        self._fixed = fixed
        self._cost = Decimal(0)
        self._calls = self._fixed_tokens = 0

    def add(self, call: PricedCall) -> None:
        if not self._fixed:
            return
        tokens = int(call.usage.prompt_tokens * self._fixed / len(call.prompt))
        fewer = call.usage.prompt_tokens - tokens // 2
        # A cache holds the beginning of a prompt, so what is left out was read from it too.
        cached = call.usage.cached_tokens - min(call.usage.cached_tokens, tokens) // 2
        usage = call.usage.model_copy(update={"prompt_tokens": fewer, "cached_tokens": min(cached, fewer)})
        self._cost += self._prices.cost(call.model, usage) or Decimal(0)
        self._fixed_tokens += tokens
        self._calls += 1

    def conclude(self, total: Decimal) -> Alternative | None:
        if not self._fixed:
            return None
        return _alternative(
            "a shorter prompt",
            total,
            total - self._cost,
            f"every call begins with the same {self._fixed_tokens // self._calls:,} tokens or so; this is for half as "
            "many",
        )


class _BatchTier:
    """Price all calls in the batch tier."""

    def __init__(self, prices: _Prices) -> None:
        self._prices = prices
        self._cost = Decimal(0)

    def add(self, call: PricedCall) -> None:
        details = call.usage.details
        details = BATCH_TIER if details is None else details.model_copy(update={"service_tier": "batch"})
        batched = self._prices.cost(call.model, call.usage.model_copy(update={"details": details}))
        # A model without a price for batches is not free in one.
        self._cost += (self._prices.cost(call.model, call.usage) or Decimal(0)) if batched is None else batched

    def conclude(self, total: Decimal) -> Alternative | None:
        return _alternative("the batch tier", total, total - self._cost, "for calls that can wait for hours")


class _CheaperModel:
    """Price all calls at the same tokens of a cheaper model that has a price for each."""

    def __init__(self, prices: _Prices) -> None:
        self._prices = prices
        self._costs: dict[str, Decimal] = {name: Decimal(0) for name in _CHEAPER_MODELS}

    def add(self, call: PricedCall) -> None:
        for candidate in [*self._costs]:
            price = self._prices.cost(candidate, call.usage)
            if price is None:
                del self._costs[candidate]
            else:
                self._costs[candidate] += price

    def conclude(self, total: Decimal) -> Alternative | None:
        if not self._costs:
            return None
        model, cost = min(self._costs.items(), key=lambda item: item[1])
        return _alternative(
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
