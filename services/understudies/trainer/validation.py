"""Validate a student on the validation split, and decide whether it can reach the required agreement."""

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pydantic import JsonValue

from understudies.datasets.dataset import Example
from understudies.events import Message, Request
from understudies.judges.base import Judge
from understudies.judges.cost_sum import CostSum
from understudies.judges.fallible import is_slow
from understudies.judges.materials import JudgeUnavailableError
from understudies.runtime.errors import RetryLater
from understudies.stats.bounds import clopper_pearson_upper
from understudies.stats.coverage import coverage_thresholds, ideal_coverage
from understudies.students.base import Answer, Student, StudentError, close_student, student_cost
from understudies.trainer.costs import counting_lost

_COVERAGE_STEPS = tuple(tenth / 10 for tenth in range(1, 11))
_BATCH_SIZE = 32
_JUDGED_AT_ONCE: Final = 8
"""Answers that a judge that takes long compares at once."""


_MOST_WITHOUT_VERDICT: Final = 0.1


class NoVerdicts(RetryLater):
    """Report a judge that gave no verdict on too many answers, as while its model is away or its budget is spent."""


@dataclass(frozen=True, slots=True)
class ValidationCall:
    """Validation call: the student's confidence, whether the teacher agreed, the cost if known, and the answer."""

    confidence: float
    agreed: bool
    cost_usd: Decimal | None = None
    message: Message | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Validation:
    """Validation calls of one student; they serve to choose among students, and prove nothing about the chosen one.

    A confidence of 0 means no answer: such a call is never served.
    """

    calls: tuple[ValidationCall, ...]
    p0: float

    @property
    def answered(self) -> list[ValidationCall]:
        return [one for one in self.calls if one.confidence > 0]

    @property
    def agreement(self) -> float:
        return sum(one.agreed for one in self.calls) / len(self.calls) if self.calls else 0.0

    @property
    def cost_per_call(self) -> Decimal | None:
        """The mean cost in US dollars of the calls whose cost is known; None if no price is set."""
        known = [one.cost_usd for one in self.calls if one.cost_usd is not None]
        return sum(known, Decimal(0)) / len(known) if known else None

    @property
    def expected_coverage(self) -> float:
        """The share of the validation calls that the student could serve at p0, with the best threshold."""
        if not (answered := self.answered):
            return 0.0
        ideal = ideal_coverage([one.confidence for one in answered], [float(one.agreed) for one in answered], self.p0)
        return ideal * len(answered) / len(self.calls)

    def surest(self, share: float, min_calls: int) -> tuple[int, int]:
        """Return (agreed, n) on the given share of most confident calls, with ties, at least `min_calls` of them."""
        answered = sorted(self.answered, key=lambda one: -one.confidence)
        if not answered:
            return 0, 0
        count = min(len(answered), max(min_calls, math.ceil(share * len(self.calls))))
        reached = [one.agreed for one in answered if one.confidence >= answered[count - 1].confidence]
        return sum(reached), len(reached)

    def is_hopeless(self, alpha: float, min_calls: int) -> bool:
        """Return whether the upper bound of agreement is below p0 at every tenth of coverage, or nothing is answered.

        A sample of fewer than `min_calls` calls never suffices.
        """
        if len(self.calls) < min_calls or 0 < len(self.answered) < min_calls:
            return False
        samples = (self.surest(tenth, min_calls) for tenth in _COVERAGE_STEPS)
        return all(n == 0 or clopper_pearson_upper(agreed, n, alpha) < self.p0 for agreed, n in samples)

    def summary(self) -> dict[str, JsonValue]:
        """Summarise the validation for the `trained` event and the manifest."""
        edges = coverage_thresholds([one.confidence for one in self.answered])
        cost = self.cost_per_call
        return {
            "n": len(self.calls),
            "agreement": round(self.agreement, 6),
            "expected_coverage": round(self.expected_coverage, 6),
            "risk_coverage": [self._point(edge.confidence) for edge in edges],
            **({} if cost is None else {"cost_per_call_usd": format(cost, ".9f")}),
        }

    def _point(self, confidence: float) -> JsonValue:
        reached = [one.agreed for one in self.calls if one.confidence >= confidence]
        return {
            "confidence": round(confidence, 6),
            "coverage": round(len(reached) / len(self.calls), 6),
            "agreement": round(sum(reached) / len(reached), 6),
        }


def judge_student(
    student: Student, examples: Sequence[Example], judge: Judge, unreported: CostSum | None = None
) -> tuple[ValidationCall, ...]:
    """Ask the student about each example; no answer counts as a disagreement with confidence 0.

    A few answers without a verdict count as disagreements. Call it in a thread without an event loop. Raises
    StudentError if the student answers none of the first requests, and NoVerdicts if the judge fails on more than a
    few answers: what these were charged is then added to `unreported`.
    """
    answers = asyncio.run(_ask_and_close(student, [example.request for example in examples]))
    pairs = [(example.answer, answer.message) for example, answer in zip(examples, answers, strict=True) if answer]
    costs = [None if answer is None else student_cost(student, answer.usage) for answer in answers]
    paid = sum((cost for cost in costs if cost is not None), Decimal(0))
    with counting_lost(unreported or CostSum(), lambda: paid):
        verdicts = iter(judge_answers(judge, pairs))
    return tuple(
        ValidationCall(0.0, False)
        if answer is None
        else ValidationCall(answer.confidence, next(verdicts), cost, answer.message)
        for answer, cost in zip(answers, costs, strict=True)
    )


def judge_answers(judge: Judge, pairs: Sequence[tuple[Message, Message]]) -> list[bool]:
    """Return for each pair of answers whether they agree; a few without a verdict do not.

    Call it in a thread without an event loop. Raises NoVerdicts if the judge fails on more than a few.
    """

    def judge_one(pair: tuple[Message, Message]) -> bool | JudgeUnavailableError:
        try:
            return judge.judge(*pair).agreed
        except JudgeUnavailableError as error:
            return error

    if is_slow(judge):
        with ThreadPoolExecutor(_JUDGED_AT_ONCE) as threads:
            found = list(threads.map(judge_one, pairs))
    else:
        found = list(map(judge_one, pairs))
    failed = [one for one in found if isinstance(one, JudgeUnavailableError)]
    if len(failed) > _MOST_WITHOUT_VERDICT * len(found):
        raise NoVerdicts(f"no verdict on {len(failed)} of {len(found)} answers: {failed[0]}") from failed[0]
    return [one is True for one in found]


async def _ask_and_close(student: Student, requests: Sequence[Request]) -> list[Answer | None]:
    # Open connections belong to the event loop, which ends here.
    try:
        return await _ask(student, requests)
    finally:
        await close_student(student)


async def _ask(student: Student, requests: Sequence[Request]) -> list[Answer | None]:
    answers: list[Answer | None] = []
    for start in range(0, len(requests), _BATCH_SIZE):
        batch = requests[start : start + _BATCH_SIZE]
        try:
            answers += await student.answer(batch)
        except StudentError:
            answers += [await _ask_one(student, request) for request in batch]
            if not any(answers):
                raise
    return answers


async def _ask_one(student: Student, request: Request) -> Answer | None:
    try:
        [answer] = await student.answer([request])
    except StudentError:
        return None
    return answer


def held_out_examples(examples: Sequence[Example]) -> list[Example]:
    """Return the examples that may be used to judge a student: unbiased, the last of each input."""
    return list({example.fingerprint: example for example in examples if example.unbiased}.values())
