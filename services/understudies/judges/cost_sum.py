"""Sum up what was paid, such as for asking a model to judge."""

import threading
from decimal import Decimal


class CostSum:
    """A sum in US dollars that several threads add to."""

    def __init__(self, total_usd: Decimal = Decimal(0)) -> None:
        self._lock = threading.Lock()
        self._total_usd = total_usd

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
        """Add what something has cost."""
        with self._lock:
            self._total_usd += cost_usd
