"""The judge of numbers: equal within a tolerance, units aside."""

import math
import re
from dataclasses import dataclass

from understudies.events import Message
from understudies.judges.base import AGREED, Judgement, differs, disagreed, shown
from understudies.judges.exact import one_calls_tools, same_text

_LONGEST = 200
_NUMBER = re.compile(
    r"(?P<before>[^\d+\-.,]*)"
    r"(?P<number>[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"(?P<after>[^\d]*)"
)


@dataclass(frozen=True, slots=True)
class NumericJudge:
    """Agrees where both answers hold one number, equal within a relative tolerance.

    Units are stripped, but where both answers name one it must be the same.
    """

    tolerance: float = 1e-6

    @property
    def name(self) -> str:
        return "numeric"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreed(one_calls_tools(teacher))
        if (expected := number_of(teacher.text)) is None:
            return same_text(teacher.text, student.text)
        if (given := number_of(student.text)) is None:
            return disagreed(f"the student's answer is not a number: {shown(student.text)}")
        same_unit = expected[1] == given[1] or not (expected[1] and given[1])
        if same_unit and math.isclose(expected[0], given[0], rel_tol=self.tolerance):
            return AGREED
        return disagreed(differs(teacher.text, student.text))


def number_of(text: str) -> tuple[float, str] | None:
    """The only number in a short text and its unit, or nothing.

    >>> number_of("$1,250.50"), number_of("12 KG."), number_of("3 of 4")
    ((1250.5, '$'), (12.0, 'kg'), None)
    """
    if len(text) > _LONGEST or (match := _NUMBER.fullmatch(text.strip())) is None:
        return None
    value = float(match["number"].replace(",", ""))
    unit = " ".join(f"{match['before']} {match['after']}".casefold().split()).strip(" .,;:!*'\"`")
    return (value, unit) if math.isfinite(value) else None
