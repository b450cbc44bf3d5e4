"""Check what the teacher wrote: new, of a usual length, answered in the task's form, and answered twice alike."""

from collections.abc import Sequence
from typing import Final

from understudies.datasets.dataset import Example
from understudies.datasets.near_copies import NearCopyGroups, masked_word_hashes
from understudies.events import Message, Request
from understudies.judges.answer_key import canonical_answer
from understudies.judges.base import Judge
from understudies.judges.materials import JudgeUnavailableError
from understudies.students.answer_validation import validation_error
from understudies.students.base import request_text
from understudies.students.classifier.student import NotClosedSetError, closed_answer_set

_SHORTEST: Final = 0.25
_LONGEST: Final = 4.0


class InputChecks:
    """Checks of written inputs and their answers against all examples of a task, whatever their split.

    A near copy of an example of validation or evidence would teach the student the answers of its own test, so it is
    refused as one of training is, which would teach nothing.
    """

    def __init__(self, examples: Sequence[Example], judge: Judge) -> None:
        texts = [request_text(example.request) for example in examples]
        self._near_copies = NearCopyGroups()
        self._known = {_plain(text) for text in texts}
        for text in texts:
            self._near_copies.assign(masked_word_hashes(text))
        self._lengths = (min(map(len, texts), default=0) * _SHORTEST, max(map(len, texts), default=0) * _LONGEST)
        self._judge = judge
        try:
            closed = closed_answer_set([example.answer for example in examples if example.split == "train"], judge)
        except NotClosedSetError:
            closed = None
        self._closed = None if closed is None else frozenset(closed)

    def input_error(self, text: str) -> str | None:
        """Return why an input is refused, or None; one that is accepted is known from then on."""
        if not self._lengths[0] <= len(text) <= self._lengths[1]:
            return "its length is unusual for the task"
        if _plain(text) in self._known:
            return "it is a copy of another input"
        groups = len(self._near_copies)
        self._near_copies.assign(masked_word_hashes(text))
        if len(self._near_copies) == groups:
            return "it is a near copy of another input"
        self._known.add(_plain(text))
        return None

    def answer_error(self, request: Request, first: Message, second: Message) -> str | None:
        """Return why the answers to a written input are refused, or None."""
        if (error := validation_error(request, first)) is not None:
            return error
        if self._closed is not None and canonical_answer(first, self._judge) not in self._closed:
            return "the answer is none of the task's"
        try:
            agreed = self._judge.judge(first, second).agreed
        except JudgeUnavailableError as error:
            return str(error)
        return None if agreed else "the teacher did not agree with itself"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
