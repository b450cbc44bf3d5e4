"""What every student is: something that answers a request and says how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, runtime_checkable

from understudies.events import Message, Request, Usage


class StudentError(Exception):
    """A student could not answer; the teacher should. Its text may be logged: it quotes no prompt and no answer."""


class ConfidenceTooLow(StudentError):  # noqa: N818 - nothing went wrong
    """A student gave up before its end: its answer would not be sure enough, or is too long to be held back.

    `confidence` is an upper bound of what it could still have reached, `usage` what was used until then, estimated.
    """

    def __init__(
        self, confidence: float, usage: Usage | None = None, why: str = "cannot be sure enough any more"
    ) -> None:
        super().__init__(f"{why}: its confidence is at most {confidence:.3g}")
        self.confidence = confidence
        self.usage = usage or Usage()


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer, with its confidence in [0, 1] that the teacher would agree.

    `finish_reason` is `length` where the caller's own limit of tokens ended it, else None. `head` names the input where
    it is one of the head, those that many calls have.
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
    """A student, loaded and ready."""

    @property
    def kind(self) -> str:
        """Kind of student, such as `classifier`."""
        ...

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer for each request, in order; raises StudentError where it cannot."""
        ...


@runtime_checkable
class GeneratingStudent(Protocol):
    """A student that writes its answer token by token, and so may see early that it is not sure."""

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        """The whole answer, with the confidence that `answer` would give it.

        Raises ConfidenceTooLow as soon as its confidence can no longer reach `floor`, or once more than `max_tokens`
        tokens had to be held back; what the model may still be writing is cancelled. Raises StudentError where it
        cannot.
        """
        ...


@runtime_checkable
class ClosableStudent(Protocol):
    """A student that holds something open between calls, such as connections."""

    async def close(self) -> None:
        """Let go of it once the calls under way have ended; another answer opens it anew."""
        ...


@runtime_checkable
class PricedStudent(Protocol):
    """A student whose answers are paid by the token."""

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars for what was used; None where no price is set."""
        ...


async def close_student(student: object) -> None:
    """Let go of what a student holds open, if it holds anything."""
    if isinstance(student, ClosableStudent):
        await student.close()


def student_cost(student: object, usage: Usage) -> Decimal | None:
    """US dollars that an answer cost; None where the student has no price by the token, or used none that it knows."""
    if not isinstance(student, PricedStudent) or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    return student.cost(usage)


def request_text(request: Request) -> str:
    """The text of all messages but the system's: what differs from call to call."""
    return "\n".join(m.text for m in request.messages if m.role not in ("system", "developer"))


def classifier_text(request: Request) -> str:
    """What a request without a context is told apart by: its text, the system's where there is no other."""
    return request_text(request) or request.system


def text_answer(text: str, confidence: float, usage: Usage | None = None) -> Answer:
    """An answer of plain text."""
    return Answer(Message(role="assistant", content=text), confidence, usage or Usage())
