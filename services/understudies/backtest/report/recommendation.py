"""Say in a sentence or two what to do after a backtest."""

from collections.abc import Mapping, Sequence
from typing import Final

from understudies.backtest.report.formatting import format_count, format_usd
from understudies.backtest.report.projection import SavingsProjection
from understudies.backtest.report.report import TaskReport

_MAX_NAMES: Final = 4
_TEACHER_OUTCOMES: Final = {
    "critical": "which is critical",
    "not_worth_it": "which a student would not pay for",
    "fallback_teacher": "for which no student was good enough",
}
_TEACHER_OUTCOMES_OF_SEVERAL: Final = {
    "critical": "which are critical",
    "not_worth_it": "which students would not pay for",
    "fallback_teacher": "for which no student was good enough",
}


def recommend(tasks: Mapping[str, TaskReport], projection: SavingsProjection | None, *, prices_assumed: bool) -> str:
    """Return one recommendation in words: what to hand over and for how much, what to keep, what needs more calls."""
    pays = [name for name, task in tasks.items() if _is_served(task) and task.summary.totals.saved > 0]
    costs = [name for name, task in tasks.items() if _is_served(task) and task.summary.totals.saved <= 0]
    parts = []
    if pays:
        is_gain = projection is not None and projection.month > 0
        money = f", which saves about {format_usd(projection.month)} a month" if projection and is_gain else ""
        condition = " if the assumed prices are right" if prices_assumed else ""
        parts.append(f"Hand over {_join(pays)}{money}{condition}.")
    elif tasks:
        parts.append("Hand over nothing yet.")
    if costs:
        verb = "has" if len(costs) == 1 else "have"
        parts.append(f"{_join(costs)} {verb} not earned back what proving cost: play more calls.")
    for outcome in _TEACHER_OUTCOMES:
        kept = [name for name, task in tasks.items() if task.outcome.outcome == outcome]
        if kept:
            why = (_TEACHER_OUTCOMES if len(kept) == 1 else _TEACHER_OUTCOMES_OF_SEVERAL)[outcome]
            parts.append(f"Keep {_join(kept)} with the teacher, {why}.")
    waiting = [name for name, task in tasks.items() if not _is_served(task) and _is_open(task)]
    if waiting:
        parts.append(f"Record more of {_join([_with_need(name, tasks[name]) for name in waiting])}.")
    return " ".join(parts)


def _is_served(task: TaskReport) -> bool:
    return task.outcome.outcome not in _TEACHER_OUTCOMES and task.summary.totals.served > 0


def _is_open(task: TaskReport) -> bool:
    return task.outcome.outcome not in _TEACHER_OUTCOMES


def _with_need(name: str, task: TaskReport) -> str:
    """Return a task's name with the examples that it lacks, if it lacks any."""
    examples, needed = task.outcome.numbers.get("examples"), task.outcome.numbers.get("needed")
    if isinstance(examples, int) and isinstance(needed, int) and examples < needed:
        return f"{name} ({format_count(examples)} of the {format_count(needed)} examples needed)"
    return name


def _join(names: Sequence[str]) -> str:
    shown = list(names[:_MAX_NAMES])
    if len(names) > _MAX_NAMES:
        shown.append(f"{len(names) - _MAX_NAMES} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
