"""What a judge is: it compares a student's answer with the teacher's."""

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
