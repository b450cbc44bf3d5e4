"""Derive a field from others: equal, in another form, by a date's or number's constant, as a count, sum or product."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from understudies.students.extractor.fields import Leaf, Path, format_path, is_nothing, items_of, scalars_of
from understudies.students.extractor.readers import READERS, Scalar, parse_number

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
        if any(is_nothing(source) for source in sources) and self.operation not in _OF_LISTS:
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
        if self.operation in _OF_LISTS:
            return self._apply_to_list([] if is_nothing(first) else first)
        if isinstance(first, list | dict):
            return None
        if self.operation in TRANSFORMS:
            return TRANSFORMS[self.operation](first)
        if self.operation == "days":
            return (parse_day(first) + timedelta(days=int(self.constant))).isoformat()
        other = exact(sources[1]) if len(sources) > 1 else exact(self.constant)
        return self._rounded(_ARITHMETIC[self.operation](exact(first), other))

    def _apply_to_list(self, values: Leaf) -> Scalar:
        if not isinstance(values, list):
            return None
        if self.operation == "count":
            return len(values)
        parts = [item.get(self.part) for item in items_of(values)] if self.part else scalars_of(values)
        return self._rounded(sum(map(exact, parts), Decimal()))

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
_OF_LISTS: Final = ("count", "total")
"""Those of a list, which is empty where it lacks."""


def exact(value: Leaf) -> Decimal:
    """Return a number as a decimal; raises ValueError for another value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("there is no number to calculate with")
    return Decimal(str(value))


def parse_day(value: Scalar) -> date:
    """Return the day that YYYY-MM-DD names; raises ValueError for another value."""
    if not isinstance(value, str) or len(value) != len("2026-01-01"):
        raise ValueError("there is no date to calculate with")
    return date.fromisoformat(value)


def _on_text(change: Callable[[str], Scalar]) -> Callable[[Scalar], Scalar]:
    return lambda value: change(value) if isinstance(value, str) else None


def _on_date(change: Callable[[date], Scalar]) -> Callable[[Scalar], Scalar]:
    return lambda value: change(parse_day(value))


TRANSFORMS: Final[dict[str, Callable[[Scalar], Scalar]]] = {
    "equal": lambda value: value,
    **{name: _on_text(READERS[name].read) for name in ("lower", "upper", "title", "compact", "digits")},
    "slug": _on_text(lambda text: re.sub(r"[\W_]+", "-", text.lower()).strip("-") or None),
    "first_word": _on_text(lambda text: next(iter(text.split()), None)),
    "last_word": _on_text(lambda text: next(reversed(text.split()), None)),
    "number": _on_text(lambda text: parse_number(text, ".")),
    "two_decimals": lambda value: f"{exact(value):.2f}",
    "as_text": lambda value: str(exact(value)),
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
