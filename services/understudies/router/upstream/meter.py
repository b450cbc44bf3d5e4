"""What an answer used and cost, estimated where the teacher did not say."""

from datetime import datetime
from decimal import Decimal

from understudies.economics.prices import Price
from understudies.events import Response, Usage, usd
from understudies.router.upstream.estimate import TokenEstimator
from understudies.router.upstream.pricing import PriceCache
from understudies.runtime.plain import fast_dataclass


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
