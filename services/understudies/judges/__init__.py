"""Judges: whether a student's answer agrees with the teacher's. Pure: no I/O."""

from understudies.judges.base import Judge, Judgement
from understudies.judges.choice import answer_class, choose_judge
from understudies.judges.exact import ExactJudge
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge, normalize_label
from understudies.judges.names import parse_judge
from understudies.judges.numeric import NumericJudge
from understudies.judges.reading import LabelLocator
from understudies.judges.tool_calls import ToolCallsJudge

__all__ = [
    "ExactJudge",
    "JsonJudge",
    "Judge",
    "Judgement",
    "LabelJudge",
    "NumericJudge",
    "LabelLocator",
    "ToolCallsJudge",
    "answer_class",
    "choose_judge",
    "parse_judge",
    "normalize_label",
]
