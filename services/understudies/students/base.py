"""Define the interface of students: answer a request, and estimate the confidence in the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Protocol, TypeGuard, runtime_checkable

from understudies.events import Message, Request, Usage


class StudentError(Exception):
    """Report that a student could not answer, so that the teacher should; the text is safe to log, without content."""


class ConfidenceTooLow(StudentError):  # noqa: N818 - nothing went wrong
    """Report an answer aborted early: its confidence would be too low, or it is too long to be held back.

    `confidence` is an upper bound of the confidence that it could still have reached, `usage` the estimated usage up
    to then.
    """

    def __init__(
        self, confidence: float, usage: Usage | None = None, why: str = "cannot reach the required confidence"
    ) -> None:
        super().__init__(f"{why}: its confidence is at most {confidence:.3g}")
        self.confidence = confidence
        self.usage = usage or Usage()


class UnusableAnswer(StudentError):  # noqa: N818 - named by what it is
    """Report an answer that was generated, and is charged, but has not the form asked for; `usage` is what it took."""

    def __init__(self, message: str, usage: Usage) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a student, with the confidence in [0, 1] that the teacher would agree.

    `finish_reason` is `length` if the caller's own token limit ended the answer, else None. `head` names the input if
    it belongs to the head, the inputs that many calls share.
    """

    message: Message
    confidence: float
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    head: str | None = None

    @property
    def text(self) -> str:
        return self.message.text


class Student(Protocol):
    """Student that is loaded and ready to answer."""

    @property
    def kind(self) -> str:
        """The kind of student, such as `classifier`."""
        ...

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer for each request, in order; raises StudentError if it cannot answer."""
        ...


@runtime_checkable
class GeneratingStudent(Protocol):
    """Student that generates its answer token by token, and so may detect early that its confidence is too low."""

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        """Return the complete answer, with the confidence that `answer` would give it.

        Raises ConfidenceTooLow as soon as its confidence can no longer reach `floor`, or once more than `max_tokens`
        tokens had to be held back; the generation is then cancelled. Raises StudentError if it cannot answer.
        """
        ...


@runtime_checkable
class PreparingStudent(Protocol):
    """Student that answers many requests faster if it is told of them before they come one by one."""

    async def prepare(self, requests: Sequence[Request]) -> None:
        """Compute for all requests at once what their answers need, instead of what was prepared before.

        The answers are the same without it, their confidences but for rounding in single precision.
        """
        ...


@runtime_checkable
class ClosableStudent(Protocol):
    """Student that holds resources between calls, such as connections."""

    async def close(self) -> None:
        """Release the resources once the calls in progress have ended; a later answer acquires them again."""
        ...


@runtime_checkable
class PricedStudent(Protocol):
    """Student whose answers are charged per token."""

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost of a usage in US dollars; None if no price is set."""
        ...


def _implements(student: object, protocol: type) -> bool:
    """Return whether a student has the methods of a protocol, which Python takes tens of microseconds to find out."""
    kind: type = type(student)
    return _is_subclass(kind, protocol)


_is_subclass = lru_cache(maxsize=256)(issubclass)


def is_generating(student: object) -> TypeGuard[GeneratingStudent]:
    """Return whether a student generates its answers token by token."""
    return _implements(student, GeneratingStudent)


async def close_student(student: object) -> None:
    """Release the resources of a student, if it holds any."""
    if isinstance(student, ClosableStudent):
        await student.close()


def student_cost(student: object, usage: Usage) -> Decimal | None:
    """Return the cost of an answer in US dollars; None without a price per token, or without known token usage."""
    if not _is_priced(student) or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    return student.cost(usage)


def _is_priced(student: object) -> TypeGuard[PricedStudent]:
    return _implements(student, PricedStudent)


def request_text(request: Request) -> str:
    """Return the text of all messages except the system's: the part that differs from call to call."""
    return "\n".join(m.text for m in request.messages if m.role not in ("system", "developer"))


def classifier_text(request: Request) -> str:
    """Return the text by which to classify a request without a context: the system's if there is no other."""
    return request_text(request) or request.system


def text_answer(text: str, confidence: float, usage: Usage | None = None) -> Answer:
    """Return an answer of plain text."""
    return Answer(Message(role="assistant", content=text), confidence, usage or Usage())
