"""Judge by a language model and a rubric, asked in both orders."""

import json
from dataclasses import dataclass, field
from typing import Final

from understudies.events import Message
from understudies.judges.backends import BACKENDS, RubricAnswer, ask_rubric
from understudies.judges.base import AGREEMENT, Judgement, abbreviate, format_judge_name
from understudies.judges.cost_sum import CostSum
from understudies.judges.exact import compare_texts, tool_use_mismatch
from understudies.judges.human_marks import NO_MARKS, HumanMarks
from understudies.judges.materials import JudgeUnavailableError, read_material

MAX_CHARACTERS: Final = 20_000
"""Longest answer that is sent to a model."""


@dataclass(frozen=True, slots=True)
class RubricJudge:
    """Judge that agrees if a model finds that two answers agree by a rubric, whichever of them comes first.

    Where its two replies differ, or one names no verdict, the answers disagree. So do differing ones that are too long
    to be sent: were they no verdict, a student that never stops would be judged by its other answers alone. A failed
    request is no verdict at all.
    """

    table: str
    """The name of the table [judges.NAME], which has the endpoint, the model and the rubric."""
    spec: str
    """The digest of that table: marks hold for one model and one rubric."""
    marks: HumanMarks = NO_MARKS
    spending: CostSum | None = field(default=None, compare=False, repr=False)
    """Takes the cost of each judgement, where someone counts it beside the verdicts."""
    is_audit: bool = field(default=False, compare=False, repr=False)
    """Whether it judges audits of a student in service, for which a part of the budget is kept."""

    @property
    def name(self) -> str:
        return format_judge_name("llm", {"": (self.table,), "spec": (self.spec,), **self.marks.options})

    @property
    def short_name(self) -> str:
        """The name as the rules have it."""
        return f"llm[{self.table}]"

    @property
    def description(self) -> str:
        return f"by the model and rubric of [judges.{self.table}], asked in both orders; {self.marks.description}"

    @property
    def model(self) -> str | None:
        """The model that judges; None where this process does not have the table."""
        try:
            spec: dict[str, str] = json.loads(read_material(self.spec))
        except JudgeUnavailableError:
            return None
        return spec.get("model")

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return Judgement(0.0, False, tool_use_mismatch(teacher))
        if compare_texts(teacher.text, student.text).agreed:
            return AGREEMENT
        if not teacher.text.strip() or not student.text.strip():
            return Judgement(0.0, False, "one of the two is empty")
        if max(len(teacher.text), len(student.text)) > MAX_CHARACTERS:
            return Judgement(0.0, False, f"they differ, and one has more than {MAX_CHARACTERS} characters")
        answer = self._ask(teacher.text, student.text)
        if self.spending is not None:
            self.spending.add(answer.cost_usd)
        if answer.in_order and answer.reversed:
            return Judgement(1.0, True, cost_usd=answer.cost_usd)
        return Judgement(
            0.5 if answer.in_order or answer.reversed else 0.0,
            False,
            f"{_word(answer.in_order)} in one order, {_word(answer.reversed)} in the other: "
            f"teacher {abbreviate(teacher.text)}, student {abbreviate(student.text)}",
            answer.cost_usd,
        )

    def _ask(self, teacher: str, student: str) -> RubricAnswer:
        try:
            answer = ask_rubric(self.spec, teacher, student, is_audit=self.is_audit)
        except JudgeUnavailableError as error:
            BACKENDS.health.record_failure(self.short_name, error)
            raise
        if not answer.is_remembered:
            BACKENDS.health.record_verdict(self.short_name)
        return answer


def _word(agreed: bool | None) -> str:
    return "no verdict" if agreed is None else "they agree" if agreed else "they disagree"
