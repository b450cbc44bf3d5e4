"""Measure the judged agreement of greedy answers on validation examples, generating as few as possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from understudies.judges.base import Judge
from understudies.students.lora.prompt import read_answer
from understudies.trainer.lora.encoding import EncodedExample, pack_rows
from understudies.trainer.lora.job import TextExample
from understudies.trainer.lora.model import AdaptedModel
from understudies.trainer.lora.packing import plan_batches

_GENERATED_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of examples whose greedy answer the judge finds equal to the teacher's, and the answers."""

    share: float
    answers: list[str]


@dataclass(frozen=True, slots=True)
class RowSize:
    """Size of packed rows: tokens of each, but for the shared ones at its start, and rows at once."""

    tokens: int
    rows: int
    shared: int


class AgreementMeter:
    """Meter of the agreement on a sample.

    A greedy answer is the teacher's token for token exactly if, after every prefix of the teacher's answer, its next
    token is the most likely one. A single pass over all answers shows that; only the others are generated, and judged.
    """

    def __init__(
        self,
        model: AdaptedModel,
        texts: Sequence[TextExample],
        encoded: Sequence[EncodedExample],
        judge: Judge,
        size: RowSize,
    ) -> None:
        self._model = model
        self._texts = texts
        self._encoded = encoded
        self._judge = judge
        self._size = size

    def measure(self) -> Agreement:
        """Return the agreement of the adapter as it is now."""
        self._model.peft.eval()
        exact = self._exact()
        answers = [text.answer for text in self._texts]
        others = [index for index in range(len(answers)) if index not in exact]
        longest = max((len(one.answer) for one in self._encoded), default=0)
        for start in range(0, len(others), _GENERATED_AT_ONCE):
            some = others[start : start + _GENERATED_AT_ONCE]
            generated = self._model.generate([self._texts[index].turns for index in some], longest + longest // 2)
            for index, answer in zip(some, generated, strict=True):
                answers[index] = answer
        self._model.peft.train()
        agreed = len(exact) + sum(self._agrees(index, answers[index]) for index in others)
        return Agreement(agreed / len(answers) if answers else 0.0, answers)

    def _exact(self) -> set[int]:
        """Return the examples whose every answer token is the most likely one."""
        wrong: set[int] = set()
        size = self._size
        lengths = [len(one) - size.shared for one in self._encoded]
        for rows in plan_batches(lengths, row_tokens=size.tokens, rows=size.rows, epochs=1, seed=0):
            packed = pack_rows(self._encoded, rows, self._model.pad, size.shared).to(self._model.device)
            with torch.no_grad():
                missed = self._model.logits(packed).argmax(dim=-1) != packed.labels
            wrong.update(packed.owners[missed].tolist())
        return set(range(len(self._encoded))) - wrong

    def _agrees(self, index: int, answer: str) -> bool:
        try:
            given = read_answer(answer)
        except ValueError:
            return False
        return self._judge.judge(read_answer(self._texts[index].answer), given).agreed
