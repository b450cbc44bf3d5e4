"""Derive a field from others: equal, in another form, by a date's or number's constant, as a count, sum or product."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import combinations, islice
from typing import Final

from understudies.students.extractor.fields import Fields, Leaf, Path, format_path, is_nothing, items_of, scalars_of
from understudies.students.extractor.readers import READERS, Scalar, parse_number

_LEAST_HOLDING: Final = 0.95
"""Share of the answers in which a relation must hold."""
_LEAST_ANSWERS: Final = 10
_LEAST_VALUES: Final = 3
"""Different values that a relation must explain; fewer could be a coincidence."""
_SAMPLE: Final = 25
_TOLERATED: Final = 3
"""Values of the sample that may be mistakes of the teacher."""
_MOST_NUMBERS: Final = 8
"""Most numbers of which pairs are tried."""
_MOST_DECIMALS: Final = 6

Values = Mapping[Path, Leaf]
Number = int | float


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of a field to others, its sources.

    `part` is the field of a list's objects that is added up. `constant` is a number of days, a factor, a divisor or an
    addend. Numbers are rounded to `decimals`; whole ones are integers if `whole`.
    """

    operation: str
    sources: tuple[Path, ...]
    part: Path = ()
    constant: float = 0.0
    decimals: int = 0
    whole: bool = True

    @property
    def description(self) -> str:
        """The relation in words, such as `days(issued, 30)`."""
        names = [format_path(source) for source in self.sources]
        names[0] += f"[].{format_path(self.part)}" if self.part else ""
        constant = [f"{self.constant:g}"] if self.operation in _FITTED else []
        return f"{self.operation}({', '.join(names + constant)})"

    def derive(self, values: Values) -> Scalar:
        """Return the value that follows from the sources; None if one lacks or is of another kind."""
        sources = [values.get(source) for source in self.sources]
        if any(is_nothing(source) for source in sources):
            return None
        try:
            return self._apply(sources)
        except (ValueError, OverflowError, InvalidOperation):
            return None

    def explains(self, path: Path, values: Values) -> bool:
        """Return whether a field is what follows from the sources, or both lack."""
        target, derived = values.get(path), self.derive(values)
        if is_nothing(target):
            return is_nothing(derived)
        return derived == target and isinstance(derived, str) == isinstance(target, str)

    def _apply(self, sources: Sequence[Leaf]) -> Scalar:
        first = sources[0]
        if self.operation == "count":
            return len(first) if isinstance(first, list) else None
        if self.operation == "total":
            parts = [item.get(self.part) for item in items_of(first)] if self.part else scalars_of(first)
            return self._rounded(sum(map(_exact, parts), Decimal()))
        if isinstance(first, list | dict):
            return None
        if self.operation in TRANSFORMS:
            return TRANSFORMS[self.operation](first)
        if self.operation == "days":
            return (_day(first) + timedelta(days=int(self.constant))).isoformat()
        other = _exact(sources[1]) if len(sources) > 1 else _exact(self.constant)
        return self._rounded(_ARITHMETIC[self.operation](_exact(first), other))

    def _rounded(self, number: Decimal) -> Number:
        rounded = number.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)
        return int(rounded) if self.whole and rounded == rounded.to_integral_value() else float(rounded)


def _divide(one: Decimal, other: Decimal) -> Decimal:
    if not other:
        raise ValueError("a number is divided by zero")
    return one / other


_ARITHMETIC: Final[dict[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "plus": lambda one, other: one + other,
    "times": lambda one, other: one * other,
    "divided_by": _divide,
    "sum": lambda one, other: one + other,
    "difference": lambda one, other: one - other,
    "product": lambda one, other: one * other,
}
_FITTED: Final = ("days", "plus", "times", "divided_by")
"""The operations with a constant."""


def _exact(value: Leaf) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("there is no number to calculate with")
    return Decimal(str(value))


def _day(value: Scalar) -> date:
    if not isinstance(value, str) or len(value) != len("2026-01-01"):
        raise ValueError("there is no date to calculate with")
    return date.fromisoformat(value)


def _on_text(change: Callable[[str], Scalar]) -> Callable[[Scalar], Scalar]:
    return lambda value: change(value) if isinstance(value, str) else None


def _on_date(change: Callable[[date], Scalar]) -> Callable[[Scalar], Scalar]:
    return lambda value: change(_day(value))


TRANSFORMS: Final[dict[str, Callable[[Scalar], Scalar]]] = {
    "equal": lambda value: value,
    **{name: _on_text(READERS[name].read) for name in ("lower", "upper", "title", "compact", "digits")},
    "slug": _on_text(lambda text: re.sub(r"[\W_]+", "-", text.lower()).strip("-") or None),
    "first_word": _on_text(lambda text: next(iter(text.split()), None)),
    "last_word": _on_text(lambda text: next(reversed(text.split()), None)),
    "number": _on_text(lambda text: parse_number(text, ".")),
    "two_decimals": lambda value: f"{_exact(value):.2f}",
    "as_text": lambda value: str(_exact(value)),
    "year": _on_date(lambda day: day.year),
    "month": _on_date(lambda day: day.month),
    "day": _on_date(lambda day: day.day),
    "year_month": _on_date(lambda day: f"{day:%Y-%m}"),
    "day_first_points": _on_date(lambda day: f"{day:%d.%m.%Y}"),
    "day_first_slashes": _on_date(lambda day: f"{day:%d/%m/%Y}"),
    "month_first_slashes": _on_date(lambda day: f"{day:%m/%d/%Y}"),
    "weekday": _on_date(lambda day: f"{day:%A}"),
}
"""Other forms of a value, the simplest first."""


def find_relation(path: Path, answers: Sequence[Fields], sources: Sequence[Path]) -> Relation | None:
    """Return the first relation of a field to others that holds in nearly all answers; None if there is none.

    It must hold where the field has a value, and give none where it has none.
    """
    return _find_holding(path, answers, lambda sample: _candidates(path, sample, sources))


def find_check(path: Path, answers: Sequence[Fields], sources: Sequence[Path]) -> Relation | None:
    """Return a calculation with several other values that a copied number satisfies in nearly all answers."""
    return _find_holding(path, answers, lambda sample: _calculations(path, sample, sources))


def _find_holding(
    path: Path, answers: Sequence[Fields], candidates: Callable[[Sequence[Fields]], Iterator[Relation]]
) -> Relation | None:
    given = [answer for answer in answers if not is_nothing(answer.get(path))]
    targets = [answer[path] for answer in given]
    if len(given) < _LEAST_ANSWERS or len({repr(target) for target in targets}) < _LEAST_VALUES:
        return None
    if any(isinstance(target, list | dict | bool) for target in targets):
        return None
    sample = given[:: max(1, len(given) // _SAMPLE)]
    for relation in candidates(sample):
        misses = (answer for answer in sample if not relation.explains(path, answer))
        if len(list(islice(misses, _TOLERATED + 1))) <= _TOLERATED:
            holding = sum(relation.explains(path, answer) for answer in answers)
            if holding >= _LEAST_HOLDING * len(answers):
                return relation
    return None


def _candidates(path: Path, sample: Sequence[Fields], sources: Sequence[Path]) -> Iterator[Relation]:
    for source in sources:
        yield from (Relation(operation, (source,)) for operation in TRANSFORMS)
    if all(isinstance(answer[path], str) for answer in sample):
        for source in sources:
            yield from _by_days(path, sample, source)
        return
    for source in sources:
        yield from _by_constant(path, sample, source)
    yield from _calculations(path, sample, sources)


def _calculations(path: Path, sample: Sequence[Fields], sources: Sequence[Path]) -> Iterator[Relation]:
    """Yield counts and totals of lists, and sums, differences and products of two numbers."""
    if not all(_is_number(answer[path]) for answer in sample):
        return
    rounding = _rounding(path, sample)
    numbers: list[Path] = []
    for source in sources:
        values = [value for answer in sample if not is_nothing(value := answer.get(source))]
        if values and all(map(_is_number, values)):
            numbers.append(source)
        elif any(isinstance(value, list) for value in values):
            yield Relation("count", (source,))
            yield replace(rounding, operation="total", sources=(source,))
            parts = dict.fromkeys(part for value in values for item in items_of(value) for part in item)
            yield from (replace(rounding, operation="total", sources=(source,), part=part) for part in parts)
    for pair in combinations(numbers[:_MOST_NUMBERS], 2):
        for operation in ("sum", "product", "difference"):
            yield replace(rounding, operation=operation, sources=pair)
        yield replace(rounding, operation="difference", sources=pair[::-1])


def _rounding(path: Path, sample: Sequence[Fields]) -> Relation:
    """Return a relation that is yet to be filled, with the decimals of a number."""
    targets = [target for answer in sample if isinstance(target := answer[path], int | float)]
    decimals = min(_MOST_DECIMALS, max(map(_decimals, targets), default=0))
    return Relation("", (), decimals=decimals, whole=any(isinstance(target, int) for target in targets))


def _is_number(value: Leaf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_days(path: Path, sample: Sequence[Fields], source: Path) -> Iterator[Relation]:
    differences: Counter[int] = Counter()
    for answer in sample:
        target, value = answer[path], answer.get(source)
        if not isinstance(target, str) or not isinstance(value, str):
            return
        try:
            differences[(_day(target) - _day(value)).days] += 1
        except ValueError:
            return
    [(days, _)] = differences.most_common(1)
    yield Relation("days", (source,), constant=days)


def _by_constant(path: Path, sample: Sequence[Fields], source: Path) -> Iterator[Relation]:
    """Yield relations by a constant that fits the pair with the largest source, where rounding matters least."""
    pairs = [
        (value, target)
        for answer in sample
        if isinstance(value := answer.get(source), int | float) and isinstance(target := answer[path], int | float)
    ]
    if not pairs or not all(_is_number(value) and _is_number(target) for value, target in pairs):
        return
    rounding = replace(_rounding(path, sample), sources=(source,))
    differences = Counter(_exact(target) - _exact(value) for value, target in pairs)
    yield replace(rounding, operation="plus", constant=float(differences.most_common(1)[0][0]))
    value, target = max(pairs, key=lambda pair: abs(pair[0]))
    for decimals in range(5):
        if value and (factor := round(target / value, decimals)):
            yield replace(rounding, operation="times", constant=factor)
        if target and (divisor := round(value / target, decimals)):
            yield replace(rounding, operation="divided_by", constant=divisor)


def _decimals(number: Number) -> int:
    exponent = _exact(number).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
