"""The judge of closed answers: the same label, without decoration and without an explanation behind it."""

from dataclasses import dataclass

from understudies.events import Message
from understudies.judges.base import AGREEMENT, Judgement, describe_difference, disagreement
from understudies.judges.exact import tool_use_mismatch
from understudies.judges.label_text import normalize_label
from understudies.judges.options import format_judge_name
from understudies.judges.reading import WHOLE_ANSWER, LabelLocator

__all__ = ["LabelJudge", "normalize_label"]


@dataclass(frozen=True, slots=True)
class LabelJudge:
    """Agrees where both answers name the same label, found by the `reading`; case counts where it is `cased`."""

    locator: LabelLocator = WHOLE_ANSWER
    cased: bool = False

    @property
    def name(self) -> str:
        return format_judge_name("label", {"": ("cased",) if self.cased else (), **self.locator.options})

    @property
    def description(self) -> str:
        ignored = "decoration and white space" if self.cased else "case, decoration and white space"
        return f"{self.locator.description}; {ignored} do not count, signs and digits do"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        if teacher.text == student.text or self.label(teacher.text) == self.label(student.text):
            return AGREEMENT
        return disagreement(describe_difference(teacher.text, student.text))

    def label(self, text: str) -> str:
        """The label in an answer."""
        return normalize_label(self.locator.locate(text)[0], cased=self.cased)
