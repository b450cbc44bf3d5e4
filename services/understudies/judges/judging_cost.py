"""Sum up what asking a model to judge has cost."""

import threading
from decimal import Decimal


class JudgingCost:
    """A sum in US dollars that judges in several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total_usd = Decimal(0)

    @property
    def total_usd(self) -> Decimal:
        """What was spent so far."""
        return self._total_usd

    def take_usd(self) -> Decimal:
        """Return what was spent so far, and begin anew."""
        with self._lock:
            total, self._total_usd = self._total_usd, Decimal(0)
            return total

    def add(self, cost_usd: Decimal) -> None:
        """Add what a judgement has cost."""
        with self._lock:
            self._total_usd += cost_usd
