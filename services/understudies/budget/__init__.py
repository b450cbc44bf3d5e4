"""The budget service: ledger, return on investment, promotions and their ramp."""

from understudies.budget.app import BudgetApp, create_app
from understudies.budget.settings import BudgetSettings

__all__ = ["BudgetApp", "BudgetSettings", "create_app"]
