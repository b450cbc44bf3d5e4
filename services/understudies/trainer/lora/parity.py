"""Compare what an engine answers with a converted adapter to what the trained model itself answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from understudies.datasets.dataset import Example
from understudies.events import Message
from understudies.judges.base import Judge
from understudies.stats.bounds import clopper_pearson_lower
from understudies.students.base import Student, StudentError
from understudies.students.lora.prompt import read_answer

_TOLERATED_SHARE: Final = 0.02
_ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True)
class Parity:
    """Calls answered by both: with the same text, and with agreement that only one of the two has."""

    calls: int
    same: int
    trained_agreed: int
    """Agreements of the trained model with the teacher."""
    lost: int
    """Calls on which the trained model agrees with the teacher, and the engine does not."""
    gained: int

    @property
    def served_agreed(self) -> int:
        """Agreements of what serves with the teacher."""
        return self.trained_agreed - self.lost + self.gained

    @property
    def is_broken(self) -> bool:
        """Return whether the engine agrees less often, by more than rounding explains.

        Engines compute in other precisions than training, so that answers near a tie differ either way. It is broken if
        it loses 2% of the calls on balance, and is the worse of the two by a sign test on those where they differ.
        """
        differing = self.lost + self.gained
        if self.lost - self.gained <= _TOLERATED_SHARE * self.calls:
            return False
        return clopper_pearson_lower(self.lost, differing, _ALPHA) > 0.5

    def __str__(self) -> str:
        return (
            f"of {self.calls} validation calls the trained model agrees with the teacher on {self.trained_agreed}, "
            f"the engine with the converted adapter on {self.served_agreed}"
        )

    def summary(self) -> dict[str, JsonValue]:
        """Summarise the comparison for the metrics of the student."""
        same = round(self.same / self.calls, 6) if self.calls else 1.0
        return {"answered_as_trained": same, "parity": {"n": self.calls, "lost": self.lost, "gained": self.gained}}


async def compare_answers(
    student: Student, examples: Sequence[Example], trained: Sequence[str], judge: Judge
) -> Parity:
    """Ask the engine about the examples that the trained model answered; what it cannot answer is no agreement."""
    answers = await asyncio.gather(*(_ask(student, example) for example in examples))
    # In a thread, as a judge may ask a model.
    return await asyncio.to_thread(compare_messages, examples, [read_text(text) for text in trained], answers, judge)


def compare_messages(
    examples: Sequence[Example], trained: Sequence[Message | None], served: Sequence[Message | None], judge: Judge
) -> Parity:
    """Compare the answers to some examples by the model as it was trained and as it is served; None is no answer."""
    pairs = [
        (_agrees(judge, example, expected), _agrees(judge, example, answer))
        for example, expected, answer in zip(examples, trained, served, strict=True)
    ]
    return Parity(
        calls=len(examples),
        same=sum(answer == expected for answer, expected in zip(served, trained, strict=True)),
        trained_agreed=sum(trained_agrees for trained_agrees, _ in pairs),
        lost=sum(trained_agrees and not agrees for trained_agrees, agrees in pairs),
        gained=sum(agrees and not trained_agrees for trained_agrees, agrees in pairs),
    )


def _agrees(judge: Judge, example: Example, answer: Message | None) -> bool:
    return answer is not None and judge.judge(example.answer, answer).agreed


def read_text(text: str) -> Message | None:
    """Return a generated text as an answer; None for what begins as a call of a function and is none."""
    try:
        return read_answer(text)
    except ValueError:
        return None


async def _ask(student: Student, example: Example) -> Message | None:
    try:
        [answer] = await student.answer([example.request])
    except StudentError:
        return None
    return answer.message
