"""What a call is likely to cost, before it is made."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from understudies.events import Request, Usage, usd

UsageCost = Callable[[Usage], Decimal]
"""What a usage of the model costs, in US dollars."""

_CHARACTERS_PER_TOKEN: Final = 4
"""Of text, per token."""
_DEFAULT_ANSWER_TOKENS: Final = 1000
"""Taken for an answer where the caller sets no limit to it."""
_MIN_CALLS: Final = 5
_DECAY: Final = 0.98
_MAX_MEANS: Final = 10_000
_MAX_COUNT: Final = 1e9


def count_characters(request: Request) -> int:
    """Characters of the messages; pictures and the like do not count, for they cost nothing like their size."""
    return sum(len(message.text) for message in request.messages)


def max_answer_tokens(request: Request) -> int | None:
    """Most tokens that an answer may have, all choices together; None where the caller does not say."""
    said = request.parameters
    limits = [_positive_int(said.get(name)) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")]
    limit = next((limit for limit in limits if limit is not None), None)
    return None if limit is None else limit * (_positive_int(said.get("n")) or 1)


def estimate_cost(
    cost: UsageCost, *, characters: int, max_tokens: int | None = None, mean_cost: Decimal | None = None
) -> Decimal:
    """US dollars that a call is likely to cost: the most that it may cost, until the task's mean cost is known.

    The most is what its text costs at four characters a token, and an answer of `max_tokens`, or of 1,000 where there
    is no limit. `mean_cost`, the mean of the task's calls, is taken instead, but no less than what the text alone
    costs, and no more than the most where there is a limit.

    >>> cost = lambda usage: Decimal(usage.prompt_tokens + 4 * usage.completion_tokens) / 1_000_000
    >>> estimate_cost(cost, characters=4000, max_tokens=500)
    Decimal('0.003000000')
    >>> estimate_cost(cost, characters=4000, max_tokens=500, mean_cost=Decimal("0.0015"))
    Decimal('0.001500000')
    """
    prompt = -(-characters // _CHARACTERS_PER_TOKEN)
    if mean_cost is not None and max_tokens is None:
        return usd(max(mean_cost, cost(Usage(prompt_tokens=prompt))))
    answer = _DEFAULT_ANSWER_TOKENS if max_tokens is None else max_tokens
    most = cost(Usage(prompt_tokens=prompt, completion_tokens=answer))
    if mean_cost is None or mean_cost >= most:
        return usd(most)
    return usd(max(mean_cost, cost(Usage(prompt_tokens=prompt))))


@dataclass(slots=True)
class _Mean:
    calls: int = 0
    cost: float = 0.0
    weight: float = 0.0


class RunningMeanCost:
    """The mean cost of a task's calls of a model, in which later calls weigh more; known from the fifth call on."""

    def __init__(self) -> None:
        self._means: OrderedDict[tuple[str, str], _Mean] = OrderedDict()

    def __len__(self) -> int:
        return len(self._means)

    def add(self, task: str, model: str, cost_usd: Decimal) -> None:
        """Take note of what a call has cost."""
        mean = self._means.setdefault((task, model), _Mean())
        mean.calls += 1
        mean.cost = mean.cost * _DECAY + float(cost_usd)
        mean.weight = mean.weight * _DECAY + 1
        self._means.move_to_end((task, model))
        if len(self._means) > _MAX_MEANS:
            self._means.popitem(last=False)

    def mean(self, task: str, model: str) -> Decimal | None:
        """What such a call costs, in US dollars, or None where too few were seen."""
        mean = self._means.get((task, model))
        return usd(mean.cost / mean.weight) if mean is not None and mean.calls >= _MIN_CALLS else None


def _positive_int(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and 1 <= value < _MAX_COUNT else None
