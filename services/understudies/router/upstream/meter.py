"""What an answer used and cost, estimated where the teacher did not say."""

from datetime import datetime
from decimal import Decimal

from understudies.economics.prices import Price
from understudies.events import Response, Usage, usd
from understudies.router.upstream.estimate import Estimates
from understudies.router.upstream.pricing import Prices
from understudies.runtime.plain import plain


@plain
class Metered:
    """Usage and cost in US dollars."""

    usage: Usage
    cost_usd: Decimal
    estimated: bool = False


@plain
class Sizes:
    """What was sent and what came back: bytes of the request and characters of the answer."""

    request_bytes: int
    answer_characters: int


class Meter:
    """Counts and prices calls, and learns from complete ones how to estimate the others."""

    def __init__(self) -> None:
        self._prices = Prices()
        self._estimates = Estimates()

    def complete(
        self, asked: str, model: str, usage: Usage, sizes: Sizes, *, price: Price | Decimal | None, at: datetime
    ) -> Metered:
        """A call that was answered to the end; `asked` is the model by the name it was asked under."""
        if not usage.prompt_tokens and not usage.completion_tokens:
            return self.partial(asked, model, usage, sizes, price=price, at=at)
        self._estimates.learn(asked, sizes.request_bytes, sizes.answer_characters, usage)
        return Metered(usage, self._prices.cost(model, usage, price, at))

    def partial(
        self, asked: str, model: str, usage: Usage, sizes: Sizes, *, price: Price | Decimal | None, at: datetime
    ) -> Metered:
        """A call whose answer broke off, or that did not report its usage in full."""
        likely = self._estimates.usage(asked, sizes.request_bytes, sizes.answer_characters, usage)
        return Metered(likely, self._prices.cost(model, likely, price, at), estimated=True)

    def reported(self, model: str, usage: Usage, *, price: Price | Decimal | None, at: datetime) -> Decimal:
        """What is paid for usage that was reported beside no answer; nothing where none was."""
        return self._prices.cost(model, usage, price, at) if usage != Usage() else usd(0)


def characters(response: Response) -> int:
    """Characters of an answer, its tools' arguments included."""
    content, calls = response.message.content, response.message.tool_calls
    called = sum(len(call.function.arguments) for call in calls) if calls else 0
    if isinstance(content, str):
        return called + len(content)
    texts = [part.get("text") for part in content or ()]
    return called + sum(len(text) for text in texts if isinstance(text, str))
