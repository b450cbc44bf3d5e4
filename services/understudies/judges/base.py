"""Define a judge, which compares a student's answer with the teacher's, and parse the options in its name."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from understudies.events import Message

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score in [0, 1], whether that is agreement, and why where it is not."""

    score: float
    agreed: bool
    why: str | None = None


class Judge(Protocol):
    """Compares two answers to one request.

    Its name tells all that it needs to be made again; its description says in plain words how it reads an answer.
    """

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    def judge(self, teacher: Message, student: Message) -> Judgement: ...


AGREEMENT = Judgement(1.0, True)


def disagreement(why: str, score: float = 0.0) -> Judgement:
    """Disagreement, for a reason."""
    return Judgement(score, False, why)


def describe_difference(teacher: object, student: object) -> str:
    """The reason "these two differ", short enough for an event."""
    return f"teacher {abbreviate(teacher)}, student {abbreviate(student)}"


def abbreviate(value: object) -> str:
    """A value as a reason shows it, cut where it is long."""
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


_NAME_WITH_OPTIONS = re.compile(r"(\w+)\[([^\[\]]+)\]")


def format_judge_name(kind: str, options: Mapping[str, Collection[str]]) -> str:
    """The name of a judge with its options; those under an empty key are written without one.

    >>> format_judge_name("json", {"": {"tags"}, "mixed": {"n", "lines.qty"}}), format_judge_name("json", {"": ()})
    ('json[tags;mixed:lines.qty,n]', 'json')
    """
    told = [
        f"{key}:{_join_sorted(values)}" if key else _join_sorted(values) for key, values in options.items() if values
    ]
    return f"{kind}[{';'.join(told)}]" if told else kind


def parse_judge_name(name: str) -> tuple[str, dict[str, frozenset[str]]]:
    """The kind and the options that a name tells.

    >>> parse_judge_name("label[field:answer]")
    ('label', {'field': frozenset({'answer'})})
    """
    if not (match := _NAME_WITH_OPTIONS.fullmatch(name)):
        return name, {}
    options: dict[str, frozenset[str]] = {}
    for told in match[2].split(";"):
        key, _, values = told.rpartition(":")
        known = frozenset(value.strip() for value in values.split(",") if value.strip())
        options[key.strip()] = options.get(key.strip(), frozenset()) | known
    return match[1], options


def _join_sorted(values: Collection[str]) -> str:
    return ",".join(sorted(values))
