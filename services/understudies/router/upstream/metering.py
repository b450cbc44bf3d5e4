"""Measure the usage and cost of answers; estimate tokens that a teacher did not report."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.economics.linear_prices import UsageCost, find_usage_cost
from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, Price, teacher_call_cost
from understudies.events import Response, Usage, usd
from understudies.runtime.fast_dataclass import fast_dataclass

_FIRST_GUESS: Final = 4.0
"""Bytes of a request per prompt token, and characters of an answer per completion token, before any are observed."""
_DECAY: Final = 0.98
"""Factor by which each complete call reduces the weight of the earlier ones."""
_PLAUSIBLE: Final = (0.02, 100.0)
"""Plausible sizes per token; below, thinking is hidden or the provider keeps the conversation, above, images are sent.
"""
_MAX_MODELS: Final = 1000


@dataclass(slots=True)
class _Ratio:
    """Size per token: a mean over the calls in which later ones weigh more."""

    size: float = 0.0
    tokens: float = 0.0

    @property
    def value(self) -> float:
        return self.size / self.tokens if self.tokens else _FIRST_GUESS

    def add(self, size: int, tokens: int) -> None:
        if tokens > 0 and _PLAUSIBLE[0] <= size / tokens <= _PLAUSIBLE[1]:
            self.size = self.size * _DECAY + size
            self.tokens = self.tokens * _DECAY + tokens


class TokenEstimator:
    """Learn each model's bytes per prompt token and characters per completion token."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, tuple[_Ratio, _Ratio]] = OrderedDict()

    def add(self, model: str, request_bytes: int, answer_characters: int, usage: Usage) -> None:
        """Learn from a complete call; sizes that do not reflect its tokens, as with images, are ignored."""
        prompt, completion = self._ratios_of(model)
        prompt.add(request_bytes, usage.prompt_tokens)
        completion.add(answer_characters, usage.completion_tokens)

    def estimate(self, model: str, request_bytes: int, answer_characters: int, known: Usage | None = None) -> Usage:
        """Estimate the usage of a call; counts in `known` take precedence."""
        prompt, completion = self._models.get(model) or (_Ratio(), _Ratio())
        known = known or Usage()
        return Usage(
            prompt_tokens=known.prompt_tokens or round(request_bytes / prompt.value),
            completion_tokens=max(known.completion_tokens, round(answer_characters / completion.value)),
            cached_tokens=known.cached_tokens,
            details=known.details,
        )

    def _ratios_of(self, model: str) -> tuple[_Ratio, _Ratio]:
        ratios = self._models.get(model)
        if ratios is None:
            if len(self._models) >= _MAX_MODELS:
                self._models.popitem(last=False)
            ratios = self._models[model] = (_Ratio(), _Ratio())
        return ratios


_MAX_CACHED_PRICES: Final = 1000


class PriceCache:
    """Cache of the costs of `teacher_call_cost`, whose look-up takes 60 µs, much of a call's overhead.

    Prices change at hours of the day, so an entry holds for the minute of the call.
    """

    def __init__(self) -> None:
        self._costs: dict[tuple[str, float], UsageCost] = {}
        # The price list takes a moment to load: load it now, not during the first call.
        teacher_call_cost("", Usage(prompt_tokens=1))

    def cost(self, model: str, usage: Usage, price: Price | Decimal | None, at: datetime) -> Decimal:
        """Return the cost of a call in US dollars."""
        if price is not None:
            return teacher_call_cost(model, usage, price, at=at)
        minute = at.timestamp() // 60
        cost = self._costs.get((model, minute))
        if cost is None:
            if len(self._costs) >= _MAX_CACHED_PRICES:
                self._costs.clear()
            cost = self._costs[model, minute] = find_usage_cost(model, at=at.replace(second=0, microsecond=0))
        listed = cost(usage)
        return DEFAULT_TEACHER_CALL_USD if listed is None else listed


@fast_dataclass
class Charge:
    """The usage and cost of a call, in US dollars."""

    usage: Usage
    cost_usd: Decimal
    estimated: bool = False


@fast_dataclass
class CallSizes:
    """The size of a call: bytes of the request and characters of the answer."""

    request_bytes: int
    answer_characters: int


class UsageMeter:
    """Count and price calls, and learn from complete ones to estimate the others."""

    def __init__(self) -> None:
        self._prices = PriceCache()
        self._estimator = TokenEstimator()

    def complete(
        self, asked: str, model: str, usage: Usage, sizes: CallSizes, *, price: Price | Decimal | None, at: datetime
    ) -> Charge:
        """Charge a call that was answered completely; `asked` is the model name that was requested."""
        if not usage.prompt_tokens and not usage.completion_tokens:
            return self.partial(asked, model, usage, sizes, price=price, at=at)
        self._estimator.add(asked, sizes.request_bytes, sizes.answer_characters, usage)
        return Charge(usage, self._prices.cost(model, usage, price, at))

    def partial(
        self, asked: str, model: str, usage: Usage, sizes: CallSizes, *, price: Price | Decimal | None, at: datetime
    ) -> Charge:
        """Charge a call whose answer broke off, or that did not report its usage in full."""
        estimate = self._estimator.estimate(asked, sizes.request_bytes, sizes.answer_characters, usage)
        return Charge(estimate, self._prices.cost(model, estimate, price, at), estimated=True)

    def reported(self, model: str, usage: Usage, *, price: Price | Decimal | None, at: datetime) -> Decimal:
        """Return the cost of usage reported without an answer; 0 if none was reported."""
        return self._prices.cost(model, usage, price, at) if usage != Usage() else usd(0)


def count_answer_characters(response: Response) -> int:
    """Count the characters of an answer, including the arguments of its tool calls."""
    content, calls = response.message.content, response.message.tool_calls
    called = sum(len(call.function.arguments) for call in calls) if calls else 0
    if isinstance(content, str):
        return called + len(content)
    texts = [part.get("text") for part in content or ()]
    return called + sum(len(text) for text in texts if isinstance(text, str))
