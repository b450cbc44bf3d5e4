"""Daily budgets: reserve before a call, settle after it, report usage to the online state."""
