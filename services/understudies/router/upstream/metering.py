"""Measure what an answer used and cost; estimate the tokens that a teacher did not report."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, Price, call_cost, teacher_call_cost
from understudies.events import Response, Usage, usd
from understudies.runtime.fast_dataclass import fast_dataclass

_FIRST_GUESS: Final = 4.0
"""Bytes of a request per prompt token, and characters of an answer per completion token, before any is known."""
_DECAY: Final = 0.98
"""What a complete call still weighs after the next one."""
_PLAUSIBLE: Final = (0.02, 100.0)
"""Below it thinking is hidden or a conversation is kept by the provider, above it pictures are sent."""
_MAX_MODELS: Final = 1000


@dataclass(slots=True)
class _Ratio:
    """Size per token, a mean over the calls in which later ones weigh more."""

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
    """Learns each model's bytes per prompt token and characters per completion token."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, tuple[_Ratio, _Ratio]] = OrderedDict()

    def add(self, model: str, request_bytes: int, answer_characters: int, usage: Usage) -> None:
        """Take note of a complete call; sizes that are no measure of its tokens, as of pictures, are passed over."""
        prompt, completion = self._ratios_of(model)
        prompt.add(request_bytes, usage.prompt_tokens)
        completion.add(answer_characters, usage.completion_tokens)

    def estimate(self, model: str, request_bytes: int, answer_characters: int, known: Usage | None = None) -> Usage:
        """The likely usage of a call; what `known` counts already is taken from there."""
        prompt, completion = self._models.get(model) or (_Ratio(), _Ratio())
        known = known or Usage()
        return Usage(
            prompt_tokens=known.prompt_tokens or round(request_bytes / prompt.value),
            completion_tokens=max(known.completion_tokens, round(answer_characters / completion.value)),
            cached_tokens=known.cached_tokens,
        )

    def _ratios_of(self, model: str) -> tuple[_Ratio, _Ratio]:
        found = self._models.get(model)
        if found is None:
            if len(self._models) >= _MAX_MODELS:
                self._models.popitem(last=False)
            found = self._models[model] = (_Ratio(), _Ratio())
        return found


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


@fast_dataclass
class Charge:
    """Usage and cost in US dollars."""

    usage: Usage
    cost_usd: Decimal
    estimated: bool = False


@fast_dataclass
class CallSizes:
    """What was sent and what came back: bytes of the request and characters of the answer."""

    request_bytes: int
    answer_characters: int


class UsageMeter:
    """Counts and prices calls, and learns from complete ones how to estimate the others."""

    def __init__(self) -> None:
        self._prices = PriceCache()
        self._estimator = TokenEstimator()

    def complete(
        self, asked: str, model: str, usage: Usage, sizes: CallSizes, *, price: Price | Decimal | None, at: datetime
    ) -> Charge:
        """A call that was answered to the end; `asked` is the model by the name it was asked under."""
        if not usage.prompt_tokens and not usage.completion_tokens:
            return self.partial(asked, model, usage, sizes, price=price, at=at)
        self._estimator.add(asked, sizes.request_bytes, sizes.answer_characters, usage)
        return Charge(usage, self._prices.cost(model, usage, price, at))

    def partial(
        self, asked: str, model: str, usage: Usage, sizes: CallSizes, *, price: Price | Decimal | None, at: datetime
    ) -> Charge:
        """A call whose answer broke off, or that did not report its usage in full."""
        likely = self._estimator.estimate(asked, sizes.request_bytes, sizes.answer_characters, usage)
        return Charge(likely, self._prices.cost(model, likely, price, at), estimated=True)

    def reported(self, model: str, usage: Usage, *, price: Price | Decimal | None, at: datetime) -> Decimal:
        """What is paid for usage that was reported beside no answer; nothing where none was."""
        return self._prices.cost(model, usage, price, at) if usage != Usage() else usd(0)


def count_answer_characters(response: Response) -> int:
    """Characters of an answer, its tools' arguments included."""
    content, calls = response.message.content, response.message.tool_calls
    called = sum(len(call.function.arguments) for call in calls) if calls else 0
    if isinstance(content, str):
        return called + len(content)
    texts = [part.get("text") for part in content or ()]
    return called + sum(len(text) for text in texts if isinstance(text, str))
