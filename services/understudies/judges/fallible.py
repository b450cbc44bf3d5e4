"""Tell judges that err from those that define agreement, and what the former can prove."""

from dataclasses import replace

from understudies.events import Message
from understudies.judges.answer_key import answer_key
from understudies.judges.base import Judge
from understudies.judges.code import CodeJudge
from understudies.judges.cost_sum import CostSum
from understudies.judges.human_marks import HumanMarks
from understudies.judges.json_value import JsonJudge
from understudies.judges.materials import JudgeUnavailableError, read_material
from understudies.judges.rubric import RubricJudge
from understudies.judges.semantic import SemanticJudge
from understudies.judges.sql import SqlJudge


def human_marks(judge: Judge) -> HumanMarks | None:
    """Return people's marks of the agreements of a judge that errs; None for a judge that defines what agreement is."""
    if isinstance(judge, SemanticJudge | RubricJudge):
        return judge.marks
    return judge.fields.marks if isinstance(judge, JsonJudge) and judge.fields.has_semantic else None


def split_alpha(judge: Judge, alpha: float) -> float:
    """Return the error budget of each of gate and judge: a judge that errs has one half, and leaves the gate the other.

    The gate's promise holds unless one of the two bounds fails.
    """
    return alpha if human_marks(judge) is None else alpha / 2


def judge_error(judge: Judge, alpha: float) -> float:
    """Return the upper bound of the share of a judge's agreements that people see as none.

    It holds with confidence 1 - alpha / 2. 0 for a judge that defines agreement, 1 for one that nobody has measured.
    """
    marks = human_marks(judge)
    return 0.0 if marks is None else marks.error_bound(split_alpha(judge, alpha))


def demanded_agreement(judge: Judge, p0: float, alpha: float) -> float | None:
    """Return the agreement by a judge that proves an agreement of p0 by people: p0 plus the judge's error.

    None if no agreement proves it, as the judge is not measured well enough.
    """
    demanded = p0 + judge_error(judge, alpha)
    return demanded if demanded < _HIGHEST else None


_HIGHEST = 0.998
"""Above, more than 1,500 verdicts in a row would have to agree; more marks are cheaper."""


def marks_needed(p0: float, alpha: float) -> int:
    """Return how many marked agreements, all confirmed, make an agreement of p0 provable by a judge that errs."""
    low, high = 1, 1 << 20
    while low < high:
        middle = (low + high) // 2
        if p0 + HumanMarks(0, middle).error_bound(alpha / 2) < _HIGHEST:
            high = middle
        else:
            low = middle + 1
    return low


def counting_cost(judge: Judge, spending: CostSum) -> Judge:
    """Return the judge, adding what it costs to `spending`; one that asks no model costs nothing."""
    return replace(judge, spending=spending) if isinstance(judge, RubricJudge) else judge


def for_audits(judge: Judge) -> Judge:
    """Return the judge for audits of a student in service, which may spend what is kept of its budget for them."""
    return replace(judge, is_audit=True) if isinstance(judge, RubricJudge) else judge


def judge_materials(judge: Judge) -> tuple[str, ...]:
    """Return the texts that a judge needs beside its name, for another process to keep.

    Raises JudgeUnavailableError if the rules of this process do not contain them.
    """
    named = isinstance(judge, RubricJudge | CodeJudge | SqlJudge) and judge.spec
    return (read_material(named),) if named else ()


def is_slow(judge: Judge) -> bool:
    """Return whether a judge asks a model, runs code, or computes vectors: not to be called in an event loop."""
    if isinstance(judge, JsonJudge):
        return judge.fields.has_semantic
    return isinstance(judge, RubricJudge | SemanticJudge) or (
        isinstance(judge, CodeJudge | SqlJudge) and bool(judge.spec)
    )


def agree_at_once(judge: Judge, one: Message, other: Message) -> bool:
    """Return whether two answers agree, where a call waits for it.

    By their answer keys, which are stricter, where the judge takes long or gives no verdict.
    """
    if not is_slow(judge):
        try:
            return judge.judge(one, other).agreed
        except JudgeUnavailableError:
            pass
    return answer_key(one) == answer_key(other)
