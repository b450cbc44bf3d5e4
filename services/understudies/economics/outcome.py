"""Determine the outcome of optimising a task for a budget: one of six, for its owner."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from understudies.economics.roi import Investment
from understudies.events import Stage, usd_text

OptimizationOutcome = Literal["no_change", "collecting", "not_worth_it", "training", "fallback_teacher", "distilled"]


@dataclass(frozen=True, slots=True)
class BudgetOutcome:
    """Outcome for one task, in words and with the numbers behind it (JSON-serialisable)."""

    outcome: OptimizationOutcome
    task: str
    message: str
    numbers: dict[str, str | float | int | None] = field(default_factory=dict)


def optimize_for_budget(
    task: str,
    *,
    weekly_cost: Decimal,
    budget_target: Decimal,
    examples: int,
    needed: int,
    investment: Investment | None = None,
    stage: Stage | None = None,
    agreement: float | None = None,
    cost_reduction: float | None = None,
) -> BudgetOutcome:
    """Determine the current or next measure for a task's cost.

    A promoted student comes first, then the budget: within it nothing is changed. With a rejected or demoted student
    the teacher serves; a student at an earlier stage means training. Without a student, examples are collected, and
    then the investment decides.

    Parameters
    ----------
    task
        Name of the task.
    weekly_cost, budget_target
        US dollars a week, spent and allowed.
    examples, needed
        The number of recorded examples usable for training, and the number that training needs.
    investment
        The investment decision; None while the volume is unknown.
    stage
        Stage of the task's latest student; None without one.
    agreement
        That student's agreement with the teacher, in [0, 1].
    cost_reduction
        The former cost of a call divided by its current cost, for a promoted student.

    Raises
    ------
    ValueError
        When `needed` is below 1 or `examples` negative.

    Examples
    --------
    >>> optimize_for_budget("triage", weekly_cost=Decimal(33), budget_target=Decimal(100), examples=900,
    ...     needed=500, stage="promoted", agreement=0.97, cost_reduction=9.1).message
    'distilled: 9.1x'
    >>> optimize_for_budget("triage", weekly_cost=Decimal(300), budget_target=Decimal(100), examples=120,
    ...     needed=500).message
    'collecting: 120 of 500 examples'
    """
    if needed < 1 or examples < 0:
        raise ValueError(f"needed must be at least 1 and examples at least 0, got {needed!r} and {examples!r}")
    outcome, message = _decide(
        weekly_cost, budget_target, examples, needed, investment, stage, agreement, cost_reduction
    )
    numbers: dict[str, str | float | int | None] = {
        "weekly_cost_usd": usd_text(weekly_cost),
        "budget_target_usd": usd_text(budget_target),
        "examples": examples,
        "needed": needed,
        "agreement": agreement,
        "cost_reduction": cost_reduction,
        **_investment_numbers(investment),
    }
    return BudgetOutcome(outcome, task, message, numbers)


def _decide(
    weekly_cost: Decimal,
    budget_target: Decimal,
    examples: int,
    needed: int,
    investment: Investment | None,
    stage: Stage | None,
    agreement: float | None,
    cost_reduction: float | None,
) -> tuple[OptimizationOutcome, str]:
    if stage == "promoted":
        return "distilled", "distilled" if cost_reduction is None else f"distilled: {cost_reduction:.1f}x"
    if weekly_cost <= budget_target:
        return (
            "no_change",
            f"no change: ${weekly_cost:,.2f} a week is within the budget of ${budget_target:,.2f}",
        )
    if stage in ("rejected", "demoted"):
        detail = "" if agreement is None else f", it agreed on {agreement:.1%}"
        return "fallback_teacher", f"the teacher serves: the student was {stage}{detail}"
    if stage in ("authorised", "collected", "trained", "qualified"):
        return "training", f"training: the student is {stage}"
    if examples < needed:
        return "collecting", f"collecting: {examples:,} of {needed:,} examples"
    if investment is None:
        return "collecting", "collecting: there are enough examples, the weekly volume is not known yet"
    if not investment.is_worthwhile:
        return "not_worth_it", f"not worth it: {investment.reason}"
    return "training", f"training: {investment.reason}"


def _investment_numbers(investment: Investment | None) -> dict[str, str | float | int | None]:
    if investment is None:
        return {}
    return {
        "roi": None if investment.roi is None else float(investment.roi),
        "break_even_calls": investment.break_even_calls,
        "weekly_calls_lower": investment.weekly_calls_lower,
        "net_weekly_saving_usd": usd_text(investment.net_weekly_saving),
        "investment_usd": usd_text(investment.cost),
    }
