"""The judge of closed answers: equal but for case, punctuation and white space."""

import re
import unicodedata
from dataclasses import dataclass

from understudies.events import Message
from understudies.judges.base import AGREED, Judgement, differs, disagreed
from understudies.judges.exact import one_calls_tools

_AROUND = " \t\r\n\"'`*.,;:!?()[]{}“”‘’«»…"
_JOINS = re.compile(r"(?<=\w)[\s_\-/–—]+(?=\w)|[\s_]+")
# A comma or full stop between digits is part of the number.
_WITHIN = re.compile(r"(?<!\d)[,.;:!?]|[,.;:!?](?!\d)|[\"'`*“”‘’]")


@dataclass(frozen=True, slots=True)
class LabelJudge:
    """Agrees where both answers name the same label."""

    @property
    def name(self) -> str:
        return "label"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreed(one_calls_tools(teacher))
        if teacher.text == student.text or label_of(teacher.text) == label_of(student.text):
            return AGREED
        return disagreed(differs(teacher.text, student.text))


def label_of(text: str) -> str:
    """The label that a text names; signs that tell labels apart (`C++`, `-1`, `1.5`) stay.

    >>> label_of(' "Card_Arrival." '), label_of("card arrival"), label_of("C++"), label_of("-1")
    ('card arrival', 'card arrival', 'c++', '-1')
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    stripped = _JOINS.sub(" ", _WITHIN.sub("", plain.strip(_AROUND))).strip(_AROUND)
    return stripped or " ".join(plain.split())
