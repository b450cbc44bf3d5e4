"""Judges: whether a student's answer agrees with the teacher's. Pure: no I/O."""

from understudies.judges.base import Judge, Judgement
from understudies.judges.choice import answer_class, choose_judge
from understudies.judges.exact import ExactJudge
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge, label_of
from understudies.judges.names import judge_named
from understudies.judges.numeric import NumericJudge
from understudies.judges.reading import Reading
from understudies.judges.tool_calls import ToolCallsJudge

__all__ = [
    "ExactJudge",
    "JsonJudge",
    "Judge",
    "Judgement",
    "LabelJudge",
    "NumericJudge",
    "Reading",
    "ToolCallsJudge",
    "answer_class",
    "choose_judge",
    "judge_named",
    "label_of",
]
