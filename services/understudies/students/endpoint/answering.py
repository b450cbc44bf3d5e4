"""What students that generate their answers have in common: many at once, and giving up those without hope."""

import asyncio
from collections.abc import Callable, Sequence

from understudies.events import Request
from understudies.students.base import Answer, ConfidenceTooLow, GeneratingStudent
from understudies.students.endpoint.client import ProgressCallback
from understudies.students.endpoint.generation import Generation


async def answer_all(student: GeneratingStudent, requests: Sequence[Request]) -> list[Answer]:
    """Return one answer for each request; raises the first StudentError once all have ended."""
    results = await asyncio.gather(*(student.answer_until(r, 0.0) for r in requests), return_exceptions=True)
    answers: list[Answer] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        answers.append(result)
    return answers


def abort_if_hopeless(
    most_confident: Callable[[float], float], floor: float, max_tokens: int | None
) -> ProgressCallback:
    """Return what raises ConfidenceTooLow once a partial answer cannot reach `floor`, or exceeds `max_tokens`.

    `most_confident` maps the sum of log-probabilities so far to the confidence that the whole answer has at most.
    """

    def check(generation: Generation) -> None:
        bound = most_confident(generation.log_sum)
        if bound < floor:
            raise ConfidenceTooLow(bound, generation.usage)
        if max_tokens is not None and generation.tokens > max_tokens:
            raise ConfidenceTooLow(bound, generation.usage, f"generated more than {max_tokens} tokens without end")

    return check
