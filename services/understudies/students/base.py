"""What every student is: something that answers a request and says how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from understudies.events import Message, Request, Usage


class StudentError(Exception):
    """A student could not answer; the teacher should."""


class ArtifactError(Exception):
    """An artifact or dataset is missing, damaged, or not what its manifest says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer, with its confidence in [0, 1] that the teacher would agree."""

    message: Message
    confidence: float
    usage: Usage = field(default_factory=Usage)

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


def request_text(request: Request) -> str:
    """The text of all messages but the system's: what differs from call to call."""
    return "\n".join(m.text for m in request.messages if m.role not in ("system", "developer"))


def text_answer(text: str, confidence: float, usage: Usage | None = None) -> Answer:
    """An answer of plain text."""
    return Answer(Message(role="assistant", content=text), confidence, usage or Usage())
