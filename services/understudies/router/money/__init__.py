"""Money: budgets by day, what calls are likely to cost, and answers that are given again."""

from understudies.router.money.budgets import BudgetLimiter
from understudies.router.money.cache import CacheStore
from understudies.router.money.cached import CacheEntry
from understudies.router.money.estimate import RunningMeanCost, count_characters, estimate_cost, max_answer_tokens
from understudies.router.money.grant import UNLIMITED, Denial, Reservation
from understudies.router.money.limits import Budget, BudgetLimits, UnknownUsageAction
from understudies.router.money.repeatable import (
    CacheDirectives,
    cache_key,
    is_cacheable,
    is_complete,
    parse_cache_directives,
)

__all__ = [
    "UNLIMITED",
    "Budget",
    "BudgetLimiter",
    "CacheStore",
    "CacheEntry",
    "Reservation",
    "BudgetLimits",
    "Denial",
    "RunningMeanCost",
    "UnknownUsageAction",
    "CacheDirectives",
    "max_answer_tokens",
    "cache_key",
    "estimate_cost",
    "is_cacheable",
    "count_characters",
    "is_complete",
    "parse_cache_directives",
]
