"""Judge meaning: two texts agree if their sentence vectors are close."""

from dataclasses import dataclass
from typing import Final

from understudies.events import Message
from understudies.judges.backends import text_similarity
from understudies.judges.base import AGREEMENT, Judgement, abbreviate, disagreement, format_judge_name
from understudies.judges.exact import compare_texts, tool_use_mismatch
from understudies.judges.human_marks import NO_MARKS, HumanMarks

DEFAULT_THRESHOLD: Final = 0.9
"""Strict, for it is used until one is learned from human marks."""


@dataclass(frozen=True, slots=True)
class SemanticJudge:
    """Judge that agrees if the cosine of the two answers' sentence vectors reaches the threshold.

    It errs: `not` hardly moves a vector. Threshold and error are measured on human marks (`understudies judge`).
    """

    threshold: float = DEFAULT_THRESHOLD
    marks: HumanMarks = NO_MARKS

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(f"a threshold lies above 0 and up to 1, such as 0.83, not {self.threshold:g}")

    @property
    def name(self) -> str:
        threshold = () if self.threshold == DEFAULT_THRESHOLD else (f"{self.threshold:g}",)
        return format_judge_name("semantic", {"threshold": threshold, **self.marks.options})

    @property
    def description(self) -> str:
        return (
            f"by meaning, where sentence vectors have a cosine of at least {self.threshold:g}; {self.marks.description}"
        )

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        return self.judge_texts(teacher.text, student.text)

    def judge_texts(self, teacher: str, student: str) -> Judgement:
        """Compare two texts."""
        if compare_texts(teacher, student).agreed:
            return AGREEMENT
        if not teacher.strip() or not student.strip():
            return disagreement("one of the two is empty")
        similarity = text_similarity(teacher, student)
        if similarity >= self.threshold:
            return AGREEMENT
        return disagreement(
            f"similarity {similarity:.3f}: teacher {abbreviate(teacher)}, student {abbreviate(student)}",
            min(max(similarity, 0.0), 1.0),
        )
