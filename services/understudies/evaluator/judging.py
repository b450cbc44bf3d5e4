"""Judge pairs of answers beside the event loop where a judge takes long, within a time limit."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from understudies.events import Message
from understudies.judges.backends import BACKENDS
from understudies.judges.base import Judge, Judgement
from understudies.judges.fallible import is_slow
from understudies.judges.materials import JudgeRefusedError, JudgeUnavailableError
from understudies.judges.rubric import RubricJudge
from understudies.runtime.throttle import Throttle

_log = logging.getLogger(__name__)
_log_throttle = Throttle()
_CONCURRENCY: Final = 8
"""Pairs that are judged at once."""


class AnswerPair(NamedTuple):
    """The teacher's answer and the student's to one request."""

    teacher: Message
    student: Message


async def judge_pairs(judge: Judge, pairs: Sequence[AnswerPair], wait_s: float) -> list[Judgement | None]:
    """Return one judgement for each pair; None where the judge failed, or had not begun after `wait_s` seconds.

    A missing judgement is neither an agreement nor a disagreement, so it must not depend on the answer: a pair that was
    begun is waited for until the judge's own limits end it. Code that never ends would be no evidence otherwise. A
    judge that only computes is not waited for.
    """
    if not is_slow(judge):
        return [_judge(judge, pair) for pair in pairs]
    permits = asyncio.Semaphore(_CONCURRENCY)
    begun: set[int] = set()

    async def judge_in_thread(number: int, pair: AnswerPair) -> Judgement | None:
        async with permits:
            begun.add(number)
            return await asyncio.to_thread(_judge, judge, pair)

    tasks = [asyncio.create_task(judge_in_thread(number, pair)) for number, pair in enumerate(pairs)]
    if not tasks:
        return []
    await asyncio.wait(tasks, timeout=wait_s)
    late = {task for number, task in enumerate(tasks) if number not in begun}
    for task in late:
        task.cancel()
    if late and isinstance(judge, RubricJudge):
        BACKENDS.health.record_late(judge.short_name, len(late))
    if late and _log_throttle():
        _log.warning(
            "the judge %s gave no verdict on %d of %d calls within %g s", judge.name, len(late), len(tasks), wait_s
        )
    return [None if task in late else await task for task in tasks]


def _judge(judge: Judge, pair: AnswerPair) -> Judgement | None:
    try:
        return judge.judge(pair.teacher, pair.student)
    except JudgeRefusedError:
        # Its message is an error of the log already.
        return None
    except JudgeUnavailableError as error:
        if _log_throttle():
            _log.warning("no verdict by the judge %s: %s", judge.name, error)
        return None
