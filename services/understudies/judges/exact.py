"""Judge free text: equal except for white space."""

from dataclasses import dataclass

from understudies.events import Message
from understudies.judges.base import AGREEMENT, Judgement, describe_difference, disagreement


@dataclass(frozen=True, slots=True)
class ExactJudge:
    """Judge that agrees if the texts are equal except for white space, and no tools are called."""

    @property
    def name(self) -> str:
        return "exact"

    @property
    def description(self) -> str:
        return "the whole text, character by character, ignoring white space"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        return compare_texts(teacher.text, student.text)


def compare_texts(teacher: str, student: str) -> Judgement:
    """Return agreement if two texts are equal except for white space."""
    if teacher == student or teacher.split() == student.split():
        return AGREEMENT
    return disagreement(describe_difference(teacher, student))


def tool_use_mismatch(teacher: Message) -> str:
    """Return the reason for disagreement if one answer calls tools and the other does not."""
    caller, other = ("teacher", "student") if teacher.tool_calls else ("student", "teacher")
    return f"the {caller} calls tools, the {other} does not"
