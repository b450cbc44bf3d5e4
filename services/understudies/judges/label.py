"""The judge of closed answers: the same label, without decoration and without an explanation behind it."""

from dataclasses import dataclass

from understudies.events import Message
from understudies.judges.base import AGREED, Judgement, differs, disagreed
from understudies.judges.exact import one_calls_tools
from understudies.judges.label_text import label_of
from understudies.judges.options import with_options
from understudies.judges.reading import WHOLE, Reading

__all__ = ["LabelJudge", "label_of"]


@dataclass(frozen=True, slots=True)
class LabelJudge:
    """Agrees where both answers name the same label, found by the `reading`; case counts where it is `cased`."""

    reading: Reading = WHOLE
    cased: bool = False

    @property
    def name(self) -> str:
        return with_options("label", {"": ("cased",) if self.cased else (), **self.reading.options})

    @property
    def description(self) -> str:
        ignored = "decoration and white space" if self.cased else "case, decoration and white space"
        return f"{self.reading.description}; {ignored} do not count, signs and digits do"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreed(one_calls_tools(teacher))
        if teacher.text == student.text or self.label(teacher.text) == self.label(student.text):
            return AGREED
        return disagreed(differs(teacher.text, student.text))

    def label(self, text: str) -> str:
        """The label in an answer."""
        return label_of(self.reading.of(text)[0], cased=self.cased)
