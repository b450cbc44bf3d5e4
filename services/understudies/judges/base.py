"""Define a judge, which compares a student's answer with the teacher's, and parse the options in its name."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from understudies.events import Message

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Judgement:
    """Score in [0, 1], whether it counts as agreement, the reason if not, and what the judging cost."""

    score: float
    agreed: bool
    why: str | None = None
    cost_usd: Decimal = Decimal(0)


class Judge(Protocol):
    """Judge that compares two answers to one request.

    Its name contains all that is needed to recreate it, or the digest of that; its description explains in plain words
    how it reads an answer. `judge` raises JudgeUnavailableError where something that it needs fails.
    """

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    def judge(self, teacher: Message, student: Message) -> Judgement: ...


AGREEMENT = Judgement(1.0, True)


def disagreement(why: str, score: float = 0.0) -> Judgement:
    """Return a disagreement with its reason."""
    return Judgement(score, False, why)


def describe_difference(teacher: object, student: object) -> str:
    """Describe the difference between two values as a reason short enough for an event."""
    return f"teacher {abbreviate(teacher)}, student {abbreviate(student)}"


def abbreviate(value: object) -> str:
    """Format a value for a reason, truncated if it is long."""
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


_NAME_WITH_OPTIONS = re.compile(r"(\w+)\[([^\[\]]+)\]")


def format_judge_name(kind: str, options: Mapping[str, Collection[str]]) -> str:
    """Format the name of a judge with its options; those under an empty key are written without one.

    >>> format_judge_name("json", {"": {"tags"}, "mixed": {"n", "lines.qty"}}), format_judge_name("json", {"": ()})
    ('json[tags;mixed:lines.qty,n]', 'json')
    """
    parts = [
        f"{key}:{_join_sorted(values)}" if key else _join_sorted(values) for key, values in options.items() if values
    ]
    return f"{kind}[{';'.join(parts)}]" if parts else kind


def parse_judge_name(name: str) -> tuple[str, dict[str, frozenset[str]]]:
    """Parse the kind and the options in a judge's name.

    >>> parse_judge_name("label[field:answer]")
    ('label', {'field': frozenset({'answer'})})
    """
    if not (match := _NAME_WITH_OPTIONS.fullmatch(name)):
        return name, {}
    options: dict[str, frozenset[str]] = {}
    for part in match[2].split(";"):
        key, _, values = part.rpartition(":")
        parsed = frozenset(value.strip() for value in values.split(",") if value.strip())
        options[key.strip()] = options.get(key.strip(), frozenset()) | parsed
    return match[1], options


def _join_sorted(values: Collection[str]) -> str:
    return ",".join(sorted(values))
