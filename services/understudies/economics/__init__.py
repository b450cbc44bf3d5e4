"""Economics of distilling: prices, return on investment, forecasts and what is worth trying. Pure: no I/O."""

from understudies.economics.forecast import Forecast, forecast
from understudies.economics.outcome import BudgetOutcome, OptimizationOutcome, optimize_for_budget
from understudies.economics.prices import DEFAULT_TEACHER_CALL_USD, Price, call_cost, teacher_call_cost
from understudies.economics.profile import Recommendation, TaskKind, TaskProfile
from understudies.economics.roi import Investment, break_even_calls, roi, saving_per_call

__all__ = [
    "DEFAULT_TEACHER_CALL_USD",
    "BudgetOutcome",
    "Forecast",
    "Investment",
    "TaskKind",
    "OptimizationOutcome",
    "Price",
    "TaskProfile",
    "Recommendation",
    "break_even_calls",
    "call_cost",
    "forecast",
    "optimize_for_budget",
    "roi",
    "saving_per_call",
    "teacher_call_cost",
]
