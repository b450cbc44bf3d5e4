"""Judge numbers: whole numbers exactly, others within a tolerance, ignoring units."""

import re
from dataclasses import dataclass

from understudies.events import Message
from understudies.judges.base import AGREEMENT, Judgement, abbreviate, describe_difference, disagreement
from understudies.judges.exact import compare_texts, tool_use_mismatch
from understudies.judges.label_text import normalize_characters, strip_decoration
from understudies.judges.number import RELATIVE_TOLERANCE, is_same_number, parse_number
from understudies.judges.vocabulary import QUANTITY_MODIFIERS

_LONGEST = 200
_NUMBER = re.compile(
    r"(?P<before>[^\d+\-.,]*)"
    r"(?P<number>[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"(?P<after>[^\d]*)"
)
_CURRENCIES = frozenset("$€£¥₹%‰°")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_BETWEEN = ".,;:*"
_AROUND_WORDS = ".,;:*=!?()[]{}\"'`"


@dataclass(frozen=True, slots=True)
class Quantity:
    """Number with its unit, and the adjacent signs and words that change its meaning, as in `(5)` and `<5`."""

    value: int | float
    unit: str = ""
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NumericJudge:
    """Judge that agrees if both answers contain one number: the same integer, or equal within a relative tolerance.

    Units are ignored unless both answers name one; then they must be the same. Other signs next to the number matter:
    `(5)`, `<5`, `~5` and `5 million` are not 5.
    """

    tolerance: float = RELATIVE_TOLERANCE

    @property
    def name(self) -> str:
        return "numeric"

    @property
    def description(self) -> str:
        return (
            f"the number in the answer; integers exact, others within {self.tolerance:g} of each other; units ignored"
        )

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        if (expected := parse_quantity(teacher.text)) is None:
            return compare_texts(teacher.text, student.text)
        if (given := parse_quantity(student.text)) is None:
            return disagreement(f"the student's answer is not a number: {abbreviate(student.text)}")
        same_unit = expected.unit == given.unit or not (expected.unit and given.unit)
        if (
            same_unit
            and expected.modifiers == given.modifiers
            and is_same_number(expected.value, given.value, self.tolerance)
        ):
            return AGREEMENT
        return disagreement(describe_difference(teacher.text, student.text))


def parse_quantity(text: str) -> Quantity | None:
    """Parse the only number in a short text, with its unit and modifiers; None if there is not exactly one.

    >>> parse_quantity("$1,250.50"), parse_quantity("12 KG."), parse_quantity("3 of 4")
    (Quantity(value=1250.5, unit='$', modifiers=()), Quantity(value=12, unit='kg', modifiers=()), None)
    """
    if len(text) > _LONGEST or (match := _NUMBER.fullmatch(strip_decoration(normalize_characters(text)))) is None:
        return None
    try:
        value = parse_number(match["number"].replace(",", ""))
    except ValueError:
        return None
    unit, modifiers = _split_unit(*_strip_quotes(match["before"].casefold(), match["after"].casefold()))
    return Quantity(value, unit, modifiers)


def _strip_quotes(before: str, after: str) -> tuple[str, str]:
    return (before[:-1], after[1:]) if before[-1:] == after[:1] and after[:1] in ("'", '"', "`") else (before, after)


def _split_unit(before: str, after: str) -> tuple[str, tuple[str, ...]]:
    """Return the unit in the text around a number, and its modifiers."""
    units: list[str] = []
    modifiers = [bracket for bracket in "([{" if bracket in before[before.rfind(_CLOSING[bracket]) + 1 :]]
    for word in f"{before} {after}".split():
        if any(map(str.isalpha, word)):
            plain = word.strip(_AROUND_WORDS)
            (modifiers if plain in QUANTITY_MODIFIERS else units).append(plain)
        else:
            units += [sign for sign in word if sign in _CURRENCIES]
            modifiers += [sign for sign in word if sign not in _CURRENCIES and sign not in _BETWEEN]
    return " ".join(units), tuple(sign for sign in modifiers if sign != "=" or len(modifiers) > 1)
