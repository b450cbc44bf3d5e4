"""Estimate the cost of a call before it is made."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from understudies.events import Request, Usage, usd

UsageCost = Callable[[Usage], Decimal]
"""The cost of a usage of the model, in US dollars."""

_CHARACTERS_PER_TOKEN: Final = 4
"""Characters of text per token."""
_DEFAULT_ANSWER_TOKENS: Final = 1000
"""Assumed for an answer if the caller sets no limit."""
_MIN_CALLS: Final = 5
_DECAY: Final = 0.98
_MAX_MEANS: Final = 10_000
_MAX_COUNT: Final = 1e9


def count_characters(request: Request) -> int:
    """Count the characters of the messages; images do not count, because their size does not reflect their cost."""
    return sum(len(message.text) for message in request.messages)


def max_answer_tokens(request: Request) -> int | None:
    """Return the maximum number of tokens of an answer, all choices together; None if the caller sets none."""
    parameters = request.parameters
    limits = [
        _positive_int(parameters.get(name)) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")
    ]
    limit = next((limit for limit in limits if limit is not None), None)
    return None if limit is None else limit * (_positive_int(parameters.get("n")) or 1)


def estimate_cost(
    cost: UsageCost, *, characters: int, max_tokens: int | None = None, mean_cost: Decimal | None = None
) -> Decimal:
    """Estimate the cost of a call in US dollars: its maximum, until the task's mean cost is known.

    The maximum is the cost of its text at four characters a token, and of an answer of `max_tokens`, or of 1,000 if
    there is no limit. `mean_cost`, the mean of the task's calls, is used instead, but no less than the cost of the text
    alone, and no more than the maximum if there is a limit.

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
    maximum = cost(Usage(prompt_tokens=prompt, completion_tokens=answer))
    if mean_cost is None or mean_cost >= maximum:
        return usd(maximum)
    return usd(max(mean_cost, cost(Usage(prompt_tokens=prompt))))


@dataclass(slots=True)
class _Mean:
    calls: int = 0
    cost: float = 0.0
    weight: float = 0.0


class RunningMeanCost:
    """The mean cost of a task's calls to a model, weighting later calls more; available from the fifth call on."""

    def __init__(self) -> None:
        self._means: OrderedDict[tuple[str, str], _Mean] = OrderedDict()

    def __len__(self) -> int:
        return len(self._means)

    def add(self, task: str, model: str, cost_usd: Decimal) -> None:
        """Add the cost of a call."""
        key = (task, model)
        mean = self._means.get(key)
        if mean is None:
            mean = self._means[key] = _Mean()
            if len(self._means) > _MAX_MEANS:
                self._means.popitem(last=False)
        else:
            self._means.move_to_end(key)
        mean.calls += 1
        mean.cost = mean.cost * _DECAY + float(cost_usd)
        mean.weight = mean.weight * _DECAY + 1

    def mean(self, task: str, model: str) -> Decimal | None:
        """Return the mean cost in US dollars, or None if there are too few calls."""
        mean = self._means.get((task, model))
        return usd(mean.cost / mean.weight) if mean is not None and mean.calls >= _MIN_CALLS else None


def _positive_int(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and 1 <= value < _MAX_COUNT else None
