"""Judge closed answers: find the label in the text and compare it without decoration or explanation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from understudies.events import Message
from understudies.judges.base import AGREEMENT, Judgement, describe_difference, disagreement, format_judge_name
from understudies.judges.exact import tool_use_mismatch
from understudies.judges.label_text import normalize_label

_SEARCHED = 300
"""Characters of a line within which to search for the end of a label."""

LABEL_ENDS: Final[Mapping[str, re.Pattern[str]]] = {
    "dash": re.compile(r"\s[-–—]+\s|(?<=\D)—(?=\D)|\s(?:->|=>|→)"),
    "bracket": re.compile(r"\s[(\[]"),
    "colon": re.compile(r":(?=[\s*]|$)"),
    "semicolon": re.compile(r";"),
    "bar": re.compile(r"\|"),
    "stop": re.compile(r"[.!](?=[\s*]|$)"),
    "comma": re.compile(r",(?=\s)"),
}
"""Patterns that may end a label within its line, by name."""

_LINE = "line"
_FIELD = re.compile(r"[\w -]{1,40}")


@dataclass(frozen=True, slots=True)
class LabelLocator:
    """Location of a label: on the line of `field`, or on the first line if None, up to the first of `before`.

    With neither, the label is the whole answer; with `line` in `before`, it is a whole line.
    """

    field: str | None = None
    before: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if unknown := self.before - {_LINE, *LABEL_ENDS}:
            raise ValueError(f"a label ends before {_LINE}, {', '.join(LABEL_ENDS)}, not {', '.join(sorted(unknown))}")
        if self.field is not None and not _FIELD.fullmatch(self.field):
            raise ValueError(f"{self.field!r} is not a valid name of a field")

    @property
    def options(self) -> dict[str, frozenset[str]]:
        """The options for the judge's name."""
        return {"field": frozenset({self.field} if self.field else ()), "before": self.before}

    @property
    def description(self) -> str:
        """The location in plain words."""
        if self == WHOLE_ANSWER:
            return "the whole answer is one label"
        where = f"the text after {self.field!r}" if self.field else "the first line of the answer"
        ends = " or ".join(end for end in LABEL_ENDS if end in self.before)
        return f"the label is {where}{f' before a {ends}' if ends else ''}; explanations next to it are not compared"

    def locate(self, text: str) -> tuple[str, str]:
        """Return the label as written and the rest of the answer; the whole answer if the label cannot be found."""
        found = (
            None if self == WHOLE_ANSWER else _first_line(text) if self.field is None else _find_field(self.field, text)
        )
        if found is None:
            return text, ""
        line, rest = found
        ends = (LABEL_ENDS[end].search(line, 0, _SEARCHED) for end in self.before - {_LINE})
        cut = min((end.start() for end in ends if end), default=len(line))
        label = _balance_emphasis(line[:cut].strip())
        return (label, f"{line[cut:]}\n{rest}".strip()) if label else (text, "")


WHOLE_ANSWER: Final = LabelLocator()


def _first_line(text: str) -> tuple[str, str]:
    line, _, rest = text.strip().partition("\n")
    return line, rest


def _find_field(field: str, text: str) -> tuple[str, str] | None:
    """Return the text after a field, on its line or the next, and all other lines; None unless it occurs once."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = [(index, match[1]) for index, line in enumerate(lines) if (match := _field_pattern(field).fullmatch(line))]
    if len(found) != 1:
        return None
    [(index, value)] = found
    end = index + 1
    if not value.strip(" *_") and end < len(lines):
        value, end = lines[end], end + 1
    return value, "\n".join([*lines[:index], *lines[end:]])


@cache
def _field_pattern(field: str) -> re.Pattern[str]:
    return re.compile(rf"[\s>*#_-]{{0,8}}{re.escape(field)}[*_]{{0,3}}\s?[:=](?:\*\*)?(.*)", re.IGNORECASE)


def _balance_emphasis(label: str) -> str:
    # A label cut out of `**Billing: because**` has only the opening emphasis.
    return label.replace("**", "") if label.count("**") % 2 else label


@dataclass(frozen=True, slots=True)
class LabelJudge:
    """Judge that agrees if both answers have the same label, found by `locator`; case matters if `cased`."""

    locator: LabelLocator = WHOLE_ANSWER
    cased: bool = False

    @property
    def name(self) -> str:
        return format_judge_name("label", {"": ("cased",) if self.cased else (), **self.locator.options})

    @property
    def description(self) -> str:
        ignored = "decoration and white space" if self.cased else "case, decoration and white space"
        return f"{self.locator.description}; {ignored} are ignored, signs and digits are compared"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        if teacher.text == student.text or self.label(teacher.text) == self.label(student.text):
            return AGREEMENT
        return disagreement(describe_difference(teacher.text, student.text))

    def label(self, text: str) -> str:
        """Return the normalised label in an answer."""
        return normalize_label(self.locator.locate(text)[0], cased=self.cased)
