"""Money: budgets by day, what calls are likely to cost, and answers that are given again."""

from understudies.router.money.budgets import Budgets
from understudies.router.money.cache import Cache
from understudies.router.money.cached import Cached
from understudies.router.money.estimate import Typical, answer_limit, estimate, text_size
from understudies.router.money.grant import FREE, Grant, Refusal
from understudies.router.money.limits import Budget, Limits, WhenUnknown
from understudies.router.money.repeatable import Wish, cache_key, repeatable, whole, wish

__all__ = [
    "FREE",
    "Budget",
    "Budgets",
    "Cache",
    "Cached",
    "Grant",
    "Limits",
    "Refusal",
    "Typical",
    "WhenUnknown",
    "Wish",
    "answer_limit",
    "cache_key",
    "estimate",
    "repeatable",
    "text_size",
    "whole",
    "wish",
]
