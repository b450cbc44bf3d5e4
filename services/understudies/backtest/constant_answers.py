"""Find answers that are the same whatever was asked: a placeholder of the log, or nothing to learn."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from understudies.importers.recorded_call import RecordedCall

_MIN_INPUTS: Final = 20
_ALWAYS: Final = 0.99
_OPEN_SHARE: Final = 0.9
"""The share of distinct texts among a task's other answers from which it answers in free text."""
_REPEATED_SHARE: Final = 0.02
_MAX_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class ConstantAnswer:
    """An answer that a task's calls have for inputs that differ."""

    task: str
    answer: str
    calls: int
    inputs: int
    of_calls: int

    @property
    def sentence(self) -> str:
        """Describe what was found, and what it may mean."""
        shown = self.answer if len(self.answer) <= _MAX_SHOWN else f"{self.answer[: _MAX_SHOWN - 1]}…"
        part = "all" if self.calls == self.of_calls else f"{self.calls:,} of"
        found = f"{self.task}: {part} {self.of_calls:,} answers are {shown!r}, for {self.inputs:,} different inputs"
        return f"{found}: the log wrote that in place of the answers, or there is nothing to learn"


def find_constant_answers(calls: Callable[[], Iterable[tuple[str, RecordedCall]]]) -> list[ConstantAnswer]:
    """Find the constant answer of each task that has one, in the order of the tasks' names.

    That is an answer to nearly all calls, with at least 20 distinct inputs; or, where the other answers are free text
    that hardly repeats, one to at least 20 distinct inputs and 2% of the calls. `calls` yields all calls whenever it is
    called: of their answers, digests are kept.
    """
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for task, call in calls():
        counts[task][_digest(_write_answer(call))] += 1
    commonest = {task: of.most_common(1)[0] for task, of in counts.items()}
    suspects = {task: digest for task, (digest, count) in commonest.items() if _is_suspect(counts[task], count)}
    if not suspects:
        return []
    answers: dict[str, str] = {}
    inputs: defaultdict[str, set[str]] = defaultdict(set)
    for task, call in calls():
        if task in suspects and _digest(answer := _write_answer(call)) == suspects[task]:
            answers[task] = answer
            inputs[task].add(call.fingerprint)
    return [
        ConstantAnswer(task, answers[task], commonest[task][1], len(inputs[task]), counts[task].total())
        for task in sorted(suspects)
        if len(inputs[task]) >= _MIN_INPUTS
    ]


def _is_suspect(counts: Counter[int], count: int) -> bool:
    """Return whether the commonest of a task's answers is given nearly always, or often among free text."""
    total = counts.total()
    others, texts = total - count, len(counts) - 1
    is_in_free_text = texts >= _MIN_INPUTS and texts >= _OPEN_SHARE * others and count >= _REPEATED_SHARE * total
    return count >= _ALWAYS * total or is_in_free_text


def _digest(answer: str) -> int:
    return int.from_bytes(hashlib.blake2b(answer.encode("utf-8", "surrogatepass"), digest_size=7).digest(), "big")


def _write_answer(call: RecordedCall) -> str:
    message = call.response.message
    called = [f"{tool.function.name}({tool.function.arguments})" for tool in message.tool_calls or ()]
    return " ".join([*message.text.split(), *called])
