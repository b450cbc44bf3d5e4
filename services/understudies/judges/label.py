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
"""Characters of a line within which a label ends, if it does not take all of it."""

LABEL_ENDS: Final[Mapping[str, re.Pattern[str]]] = {
    "dash": re.compile(r"\s[-–—]+\s|(?<=\D)—(?=\D)|\s(?:->|=>|→)"),
    "bracket": re.compile(r"\s[(\[]"),
    "colon": re.compile(r":(?=[\s*]|$)"),
    "semicolon": re.compile(r";"),
    "bar": re.compile(r"\|"),
    "stop": re.compile(r"[.!](?=[\s*]|$)"),
    "comma": re.compile(r",(?=\s)"),
}
"""What may end a label within its line."""

_LINE = "line"
_FIELD = re.compile(r"[\w -]{1,40}")


@dataclass(frozen=True, slots=True)
class LabelLocator:
    """A label is on the line of the `field`, or on the first where there is none, up to the first of `before`.

    With neither, it is the whole answer; before `line`, it is a whole line.
    """

    field: str | None = None
    before: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if unknown := self.before - {_LINE, *LABEL_ENDS}:
            raise ValueError(f"a label ends before {_LINE}, {', '.join(LABEL_ENDS)}, not {', '.join(sorted(unknown))}")
        if self.field is not None and not _FIELD.fullmatch(self.field):
            raise ValueError(f"no field of an answer is called {self.field!r}")

    @property
    def options(self) -> dict[str, frozenset[str]]:
        """As the judge's name tells it."""
        return {"field": frozenset({self.field} if self.field else ()), "before": self.before}

    @property
    def description(self) -> str:
        """In plain words."""
        if self == WHOLE_ANSWER:
            return "the whole answer is one label"
        where = f"what stands behind {self.field!r}" if self.field else "the first line of the answer"
        ends = " or ".join(end for end in LABEL_ENDS if end in self.before)
        return f"the label is {where}{f' before a {ends}' if ends else ''}; explanations beside it are not compared"

    def locate(self, text: str) -> tuple[str, str]:
        """The label as it is written and the rest of the answer; the whole answer where the label cannot be found."""
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
    """What stands behind a field, on its line or the next, and all other lines; None unless the field is there once."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = [(place, match[1]) for place, line in enumerate(lines) if (match := _field_pattern(field).fullmatch(line))]
    if len(found) != 1:
        return None
    [(place, value)] = found
    end = place + 1
    if not value.strip(" *_") and end < len(lines):
        value, end = lines[end], end + 1
    return value, "\n".join([*lines[:place], *lines[end:]])


@cache
def _field_pattern(field: str) -> re.Pattern[str]:
    return re.compile(rf"[\s>*#_-]{{0,8}}{re.escape(field)}[*_]{{0,3}}\s?[:=](?:\*\*)?(.*)", re.IGNORECASE)


def _balance_emphasis(label: str) -> str:
    # What was cut out of `**Billing: because**` has half of its emphasis.
    return label.replace("**", "") if label.count("**") % 2 else label


@dataclass(frozen=True, slots=True)
class LabelJudge:
    """Agrees where both answers name the same label, found by the `locator`; case counts where it is `cased`."""

    locator: LabelLocator = WHOLE_ANSWER
    cased: bool = False

    @property
    def name(self) -> str:
        return format_judge_name("label", {"": ("cased",) if self.cased else (), **self.locator.options})

    @property
    def description(self) -> str:
        ignored = "decoration and white space" if self.cased else "case, decoration and white space"
        return f"{self.locator.description}; {ignored} do not count, signs and digits do"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        if teacher.text == student.text or self.label(teacher.text) == self.label(student.text):
            return AGREEMENT
        return disagreement(describe_difference(teacher.text, student.text))

    def label(self, text: str) -> str:
        """The label in an answer."""
        return normalize_label(self.locator.locate(text)[0], cased=self.cased)
