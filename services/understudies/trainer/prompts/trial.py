"""Ask the model with a candidate's prompt, count what it costs, and never pay twice for the same."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from understudies.datasets.dataset import Example
from understudies.events import Message, Usage
from understudies.judges.base import Judge
from understudies.judges.fallible import is_slow
from understudies.students.base import StudentError, UnusableAnswer
from understudies.students.endpoint.client import ChatClient
from understudies.students.few_shot.student import FewShotStudent
from understudies.trainer.journal import Journal
from understudies.trainer.prompts.candidate import PromptCandidate, TaskForm
from understudies.trainer.validation import ValidationCall

_AT_ONCE: Final = 8
_LONGEST_ANSWER: Final = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call: its confidence and cost, whether the teacher agrees, and the answer, shortened."""

    agreed: bool
    confidence: float
    cost_usd: Decimal | None
    tokens: int
    answer: str

    @property
    def call(self) -> ValidationCall:
        """The outcome as a validation call."""
        return ValidationCall(self.confidence, self.agreed, self.cost_usd)


class Purse:
    """What has been spent of a cap in US dollars, how many calls were made, and what of it is not counted elsewhere.

    `counted` are the notes of the journal whose cost the training counts already.
    """

    def __init__(self, max_usd: Decimal, max_calls: int, kept_calls: int, counted: set[str] | None = None) -> None:
        self._max_usd = max_usd
        self._max_calls = max_calls
        self._kept_calls = kept_calls
        self._dearest = Decimal(0)
        self._counted = set[str]() if counted is None else counted
        self.spent_usd = Decimal(0)
        self.charged_usd = Decimal(0)
        self.calls = 0

    def close_note(self, name: str) -> None:
        """Take all calls of a note as counted."""
        self._counted.add(name)

    def pay(self, cost_usd: Decimal | None, name: str, *, is_reflection: bool = False) -> None:
        """Count a call of a note; one without a known price costs nothing."""
        self.spent_usd += cost_usd or Decimal(0)
        if name not in self._counted:
            self.charged_usd += cost_usd or Decimal(0)
        if not is_reflection:
            self.calls += 1
            self._dearest = max(self._dearest, cost_usd or Decimal(0))

    def can_search(self, calls: int = 1) -> bool:
        """Return whether so many more calls leave enough for validation."""
        needed = self._dearest * (self._kept_calls + calls)
        return self.calls + calls <= self._max_calls and self.spent_usd + needed <= self._max_usd

    def can_validate(self, calls: int) -> bool:
        """Return whether so many calls are within the cap."""
        return self.spent_usd + self._dearest * calls <= self._max_usd


class Trials:
    """Trials of candidates by one model. What the journal holds of an earlier run is not asked again, but counted."""

    def __init__(
        self, base: FewShotStudent, form: TaskForm, judge: Judge, journal: Journal, purse: Purse, runner: asyncio.Runner
    ) -> None:
        self._base = base
        self._form = form
        self._judge = judge
        self._journal = journal
        self._runner = runner
        self.purse = purse
        self._known: dict[str, list[Outcome]] = {}

    def student(self, candidate: PromptCandidate) -> FewShotStudent:
        """Return the student of a candidate, not calibrated."""
        return self._base.with_prompt(self._form.prompt(candidate), shots=candidate.shots, nearest=candidate.nearest)

    def ask(
        self, candidate: PromptCandidate, examples: Sequence[Example], *, is_validation: bool = False
    ) -> list[Outcome] | None:
        """Return an outcome for each example; None if the purse does not reach so far."""
        name = _name(candidate, examples)
        if (known := self._known.get(name)) is not None:
            return known
        noted = self._journal.read(name)
        if noted is not None:
            outcomes = [_from_note(note) for note in noted["outcomes"]]
            for outcome in outcomes:
                self.purse.pay(outcome.cost_usd, name)
        else:
            asked = self._runner.run(self._ask(self.student(candidate), name, examples, is_validation))
            if asked is None:
                return None
            outcomes = asked
            self._journal.write(name, {"outcomes": [_to_note(outcome) for outcome in outcomes]})
        self._known[name] = outcomes
        self.purse.close_note(name)
        return outcomes

    async def _ask(
        self, student: FewShotStudent, name: str, examples: Sequence[Example], is_validation: bool
    ) -> list[Outcome] | None:
        outcomes: list[Outcome] = []
        for start in range(0, len(examples), _AT_ONCE):
            part = examples[start : start + _AT_ONCE]
            left = len(examples) - start
            if not (self.purse.can_validate(left) if is_validation else self.purse.can_search(left)):
                return None
            outcomes += await asyncio.gather(*(self._ask_one(student, name, example) for example in part))
        return outcomes

    async def _ask_one(self, student: FewShotStudent, name: str, example: Example) -> Outcome:
        try:
            answer = await student.answer_until(example.request, 0.0)
        except UnusableAnswer as error:
            cost = student.cost(error.usage)
            self.purse.pay(cost, name)
            return Outcome(False, 0.0, cost, _tokens(error.usage), f"({error})")
        except StudentError as error:
            # An endpoint that failed charges nothing, as far as is known.
            self.purse.pay(None, name)
            return Outcome(False, 0.0, None, 0, f"({error})")
        cost = student.cost(answer.usage)
        self.purse.pay(cost, name)
        agreed = await self._agrees(example.answer, answer.message)
        return Outcome(agreed, answer.confidence, cost, _tokens(answer.usage), answer.text[:_LONGEST_ANSWER])

    async def _agrees(self, teacher: Message, student: Message) -> bool:
        if not is_slow(self._judge):
            return self._judge.judge(teacher, student).agreed
        # A model that judges is not asked in an event loop.
        return (await asyncio.to_thread(self._judge.judge, teacher, student)).agreed


class Reflection:
    """A strong model that rewrites instructions, asked within the purse; what the journal holds is not asked again."""

    def __init__(self, chat: ChatClient, journal: Journal, purse: Purse, runner: asyncio.Runner) -> None:
        self._chat = chat
        self._journal = journal
        self._purse = purse
        self._runner = runner

    def __call__(self, prompt: str) -> str:
        """Return what the model says to a prompt; raises StudentError if it fails."""
        name = f"reflection-{hashlib.sha256(prompt.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        noted = self._journal.read(name)
        if noted is None:
            body = {"messages": [{"role": "user", "content": prompt}], "temperature": 1.0}
            generation = self._runner.run(self._chat.complete(body))
            cost = self._chat.endpoint.cost(generation.usage)
            noted = {"text": generation.message().text, "cost_usd": None if cost is None else str(cost)}
            self._journal.write(name, noted)
        self._purse.pay(None if noted["cost_usd"] is None else Decimal(noted["cost_usd"]), name, is_reflection=True)
        self._purse.close_note(name)
        return str(noted["text"])


def _name(candidate: PromptCandidate, examples: Sequence[Example]) -> str:
    content = json.dumps([candidate.to_texts(), [example.id for example in examples]], sort_keys=True)
    return f"prompt-{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _tokens(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


def _to_note(outcome: Outcome) -> dict[str, Any]:
    return {
        "agreed": outcome.agreed,
        "confidence": outcome.confidence,
        "cost_usd": None if outcome.cost_usd is None else str(outcome.cost_usd),
        "tokens": outcome.tokens,
        "answer": outcome.answer,
    }


def _from_note(note: Mapping[str, Any]) -> Outcome:
    cost = note["cost_usd"]
    return Outcome(
        note["agreed"], note["confidence"], None if cost is None else Decimal(cost), note["tokens"], note["answer"]
    )
