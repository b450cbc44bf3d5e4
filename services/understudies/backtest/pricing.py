"""Price recorded calls, and tell where no price is known."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from understudies.economics.linear_prices import TodaysPrices
from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, teacher_call_cost
from understudies.events import Usage, usd
from understudies.importers.recorded_call import RecordedCall

_MAX_NAMED: Final = 6


def resolve_price(
    call: RecordedCall,
    teacher_price: Decimal | None = None,
    assumed_price: Callable[[str, Usage], Decimal] = teacher_call_cost,
) -> Decimal:
    """Return the price of a call in US dollars: as given, else as recorded, else by model and usage, else 0.03."""
    if teacher_price is not None:
        return usd(teacher_price)
    if call.recorded_cost is not None:
        return usd(call.recorded_cost)
    return assumed_price(call.model, call.usage)


def price_by(teacher_price: Decimal | None) -> Callable[[RecordedCall], Decimal]:
    """Return a function that resolves the price of a call, and looks up each model once."""
    prices = TodaysPrices()

    def assume_price(model: str, usage: Usage) -> Decimal:
        listed = prices.cost(model, usage)
        return DEFAULT_TEACHER_CALL_USD if listed is None else listed

    return lambda call: resolve_price(call, teacher_price, assume_price)


@dataclass(frozen=True, slots=True)
class UnknownPrice:
    """The calls of a task without a known price, and the teacher's price from which a student would pay."""

    task: str
    calls: int
    model: str
    paying: Decimal | None

    @property
    def sentence(self) -> str:
        """Describe the calls, what is assumed, and what to do."""
        model = self.model
        whose = f"of {model!r} without a known price or usage" if model else "without a model and a cost"
        pays = f"; the task would pay from {self.paying_text} a call" if self.paying is not None else ""
        assumed = f"${DEFAULT_TEACHER_CALL_USD.normalize()} a call is assumed{pays}"
        calls = f"{self.calls:,} {'call' if self.calls == 1 else 'calls'}"
        return f"{self.task}: {calls} {whose}: {assumed}. Name what they cost, as in --teacher-price 0.002"

    @property
    def paying_text(self) -> str:
        """The price from which the task pays, with two digits."""
        return "" if self.paying is None else f"${Decimal(f'{self.paying:.2g}'):f}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fact as JSON types."""
        paying = None if self.paying is None else float(self.paying)
        return {"task": self.task, "calls": self.calls, "model": self.model, "pays_from_usd": paying}


def find_unknown_prices(
    calls: Iterable[tuple[str, RecordedCall]], paying_prices: Mapping[str, Decimal | None]
) -> list[UnknownPrice]:
    """Find for each task the calls whose price neither the log nor the price list tells, so that one is assumed.

    `paying_prices` are those from which a task would pay.
    """
    unknown: Counter[str] = Counter()
    models: dict[str, Counter[str]] = {}
    prices = TodaysPrices()
    for task, call in calls:
        if call.recorded_cost is None and prices.cost(call.model, call.usage) is None:
            unknown[task] += 1
            models.setdefault(task, Counter())[call.model] += 1
    return [
        UnknownPrice(task, count, models[task].most_common(1)[0][0], paying_prices.get(task))
        for task, count in sorted(unknown.items())
    ]


def describe_assumption(unknown: Sequence[UnknownPrice], calls: int) -> str:
    """Say in one line that prices are assumed, for how many of the calls, and from which price each task pays."""
    count = sum(one.calls for one in unknown)
    whose = "any call" if count == calls else f"{count:,} of {calls:,} calls"
    pays = [f"{one.task} {one.paying_text}" for one in unknown if one.paying is not None]
    listed = ", ".join(pays[:_MAX_NAMED]) + (f" and {len(pays) - _MAX_NAMED} more" if len(pays) > _MAX_NAMED else "")
    from_price = f" A student pays from a teacher's price a call of: {listed}." if pays else ""
    return (
        f"No price is known for {whose}: all figures in dollars assume ${DEFAULT_TEACHER_CALL_USD.normalize()} a call "
        f"for them.{from_price} Name what a call costs, as in --teacher-price 0.002."
    )
