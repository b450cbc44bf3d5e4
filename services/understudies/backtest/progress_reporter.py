"""Report the progress of a backtest while it plays."""

from datetime import datetime
from decimal import Decimal

from understudies.backtest.progress import ProgressDisplay, TaskPhase
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.budget.app import BudgetApp
from understudies.embedded.platform import Platform
from understudies.stats.bounds import anytime_lower_bound


class ProgressReporter:
    """Update the display after each step, with the virtual time and the number of calls played."""

    def __init__(self, platform: Platform, outcomes: CallOutcomes, display: ProgressDisplay) -> None:
        self._platform = platform
        self._outcomes = outcomes
        self._display = display

    async def __call__(self, now: datetime, played: int) -> None:
        """Update every task seen so far."""
        fraction = played / len(self._outcomes.calls)
        for task, task_state in sorted(self._platform.budget.tasks.items()):
            agreement, lower = self._measure_agreement(task)
            ledger = task_state.ledger
            self._display.update(
                task,
                phase=task_phase(self._platform.budget, task, now),
                agreement=agreement,
                lower=lower,
                served_share=ledger.served / ledger.calls if ledger.calls else 0.0,
                saved=ledger.savings if task_state.students else Decimal(0),
                fraction_done=fraction,
            )

    def _measure_agreement(self, task: str) -> tuple[float | None, float | None]:
        task_state = self._platform.budget.task_state(task)
        student = task_state.serving or task_state.candidate
        trial = self._platform.evaluator.evaluation.trials.get(student.name) if student else None
        if trial is None:
            return None, None
        confidences = [gate.confidence for gate in trial.selective_gate.thresholds]
        threshold = trial.promotion.threshold
        index = confidences.index(threshold) if threshold in confidences else len(confidences) // 2
        agree, n = trial.selective_gate.agreement_counts(index)
        if not n:
            return None, None
        # The trial holds only the lesser of what calls and distinct inputs prove, and nothing before both have
        # evidence.
        by_call = trial.call_gate.tail_gate.agreement_counts(index)
        bounds = [anytime_lower_bound(*counts) for counts in ((agree, n), by_call)] if by_call[1] else []
        return agree / n, min(bounds, default=None)


def task_phase(budget: BudgetApp, task: str, now: datetime) -> TaskPhase:
    """Return the phase of a task: recorded only, a student on trial, served by one, or kept with the teacher."""
    task_state = budget.task_state(task)
    if task_state.serving is not None:
        return "serving"
    if task_state.candidate is not None:
        return "trial"
    return "kept with the teacher" if budget.appraisal(task, now).verdict == "refuse" else "recording"
