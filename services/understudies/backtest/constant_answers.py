"""Find answers that are the same whatever was asked: a placeholder of the log, or nothing to learn."""

from collections import Counter, defaultdict
from collections.abc import Iterable
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


def find_constant_answers(calls: Iterable[tuple[str, RecordedCall]]) -> list[ConstantAnswer]:
    """Find the constant answer of each task that has one, in the order of the tasks' names.

    That is an answer to nearly all calls, with at least 20 distinct inputs; or, where the other answers are free text
    that hardly repeats, one to at least 20 distinct inputs and 2% of the calls.
    """
    inputs: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for task, call in calls:
        answer = _write_answer(call)
        counts[task][answer] += 1
        inputs[task][answer].add(call.fingerprint)
    found = []
    for task in sorted(counts):
        answer, count = counts[task].most_common(1)[0]
        total = counts[task].total()
        distinct = len(inputs[task][answer])
        others, texts = total - count, len(counts[task]) - 1
        is_always = count >= _ALWAYS * total
        is_in_free_text = texts >= _MIN_INPUTS and texts >= _OPEN_SHARE * others and count >= _REPEATED_SHARE * total
        if distinct >= _MIN_INPUTS and (is_always or is_in_free_text):
            found.append(ConstantAnswer(task, answer, count, distinct, total))
    return found


def _write_answer(call: RecordedCall) -> str:
    message = call.response.message
    called = [f"{tool.function.name}({tool.function.arguments})" for tool in message.tool_calls or ()]
    return " ".join([*message.text.split(), *called])
