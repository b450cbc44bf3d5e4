"""Measure how fast an engine answers a student's calls, for the price of an answer on a machine of one's own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from understudies.events import Request, Usage
from understudies.students.base import Answer, StudentError, close_student
from understudies.students.lora.student import LoraStudent

_CONCURRENT = 32
_SMALLEST_PRICE = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Answers to calls in flight together, their tokens, and the seconds they took."""

    answers: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float

    @property
    def usage_per_answer(self) -> Usage:
        """The mean usage of an answer, in whole tokens."""
        return Usage(
            prompt_tokens=round(self.prompt_tokens / self.answers),
            completion_tokens=round(self.completion_tokens / self.answers),
        )

    def usd_per_million_tokens(self, usd_per_hour: Decimal) -> Decimal:
        """Return the price of a million tokens, of prompts and answers together, on a machine of an hourly price.

        >>> Throughput(10, 900, 100, 2.0).usd_per_million_tokens(Decimal("3.6"))
        Decimal('2.000000')
        """
        tokens = self.prompt_tokens + self.completion_tokens
        price = usd_per_hour / 3600 * Decimal(self.seconds) / tokens * 1_000_000
        return price.quantize(_SMALLEST_PRICE)

    def summary(self) -> dict[str, JsonValue]:
        """Summarise the measurement for the manifest."""
        return {
            "answers": self.answers,
            "answers_per_s": round(self.answers / self.seconds, 3),
            "completion_tokens_per_s": round(self.completion_tokens / self.seconds, 1),
            "concurrent": min(_CONCURRENT, self.answers),
        }


async def measure_throughput(student: LoraStudent, requests: Sequence[Request]) -> Throughput | None:
    """Return the throughput of up to 32 requests at once; None if the student answers none of them all."""
    try:
        # Loads the adapter.
        await student.answer(requests[:1])
        began = time.perf_counter()
        answers: list[Answer] = []
        for start in range(0, len(requests), _CONCURRENT):
            answers += await student.answer(requests[start : start + _CONCURRENT])
        seconds = time.perf_counter() - began
    except StudentError:
        return None
    finally:
        await close_student(student)
    prompt, completion = (
        sum(answer.usage.prompt_tokens for answer in answers),
        sum(answer.usage.completion_tokens for answer in answers),
    )
    return Throughput(len(answers), prompt, completion, seconds) if prompt + completion else None
