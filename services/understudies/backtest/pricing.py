"""Price recorded calls, and tell where no price is known."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, call_cost, teacher_call_cost
from understudies.events import usd
from understudies.importers.recorded_call import RecordedCall


def resolve_price(call: RecordedCall, teacher_price: Decimal | None = None) -> Decimal:
    """Return the price of a call in US dollars: as given, else as recorded, else by model and usage, else 0.03."""
    if teacher_price is not None:
        return usd(teacher_price)
    if call.recorded_cost is not None:
        return usd(call.recorded_cost)
    return teacher_call_cost(call.model, call.usage)


def is_price_known(call: RecordedCall) -> bool:
    """Return whether the log or the price list tells what the call cost; else a price is assumed for it."""
    return call.recorded_cost is not None or call_cost(call.model, call.usage) is not None


def describe_unknown_prices(
    calls: Iterable[tuple[str, RecordedCall]], paying_prices: dict[str, Decimal | None]
) -> list[str]:
    """Describe for each task the calls without a known price; `paying_prices` are those from which a task would pay."""
    unknown: Counter[str] = Counter()
    models: dict[str, Counter[str]] = {}
    for task, call in calls:
        if not is_price_known(call):
            unknown[task] += 1
            models.setdefault(task, Counter())[call.model] += 1
    return [
        _describe_task(task, count, models[task], paying_prices.get(task)) for task, count in sorted(unknown.items())
    ]


def _describe_task(task: str, count: int, models: Counter[str], paying: Decimal | None) -> str:
    model = models.most_common(1)[0][0]
    whose = f"of {model!r} without a known price or usage" if model else "without a model and a cost"
    pays = f"; the task would pay from ${paying:.2g} a call" if paying is not None else ""
    assumed = f"${DEFAULT_TEACHER_CALL_USD.normalize()} a call is assumed{pays}"
    calls = f"{count:,} {'call' if count == 1 else 'calls'}"
    return f"{task}: {calls} {whose}: {assumed}. Name what they cost, as in --teacher-price 0.002"
