"""Count the calls until a task's students have earned back what they cost."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal


class DueCosts:
    """Costs of no single call, such as training runs, each due at a time."""

    def __init__(self, costs: Iterable[tuple[datetime, Decimal]]) -> None:
        self._waiting = deque(costs)

    def take(self, now: datetime | None = None) -> Iterator[Decimal]:
        """Yield the costs not taken yet, in order up to the first that is not due by then; without a time, all."""
        while self._waiting and (now is None or self._waiting[0][0] <= now):
            yield self._waiting.popleft()[1]


class BreakEvenCounter:
    """Count a task's calls from its first authorisation until all costs were recovered.

    Calls are added in the order of their times, those before the authorisation too: a student is first tried on
    held-out ones of them. `earned_after` is the count; None if the costs were not recovered, or nothing was authorised.
    """

    def __init__(self, authorised_at: datetime | None, trainings: DueCosts) -> None:
        self._authorised_at = authorised_at
        self._trainings = trainings
        self._balance = Decimal(0)
        self._lost = False
        self._calls = 0
        self.earned_after: int | None = None

    def add(self, at: datetime, saved: Decimal, shadow_cost: Decimal) -> None:
        """Add a call: what it saved in all, and what students' answers in shadow cost, which `saved` includes."""
        if self._authorised_at is None:
            return
        if at < self._authorised_at:
            self._balance -= shadow_cost
            self._lost = self._balance < 0
            return
        self._calls += 1
        self._balance += saved - sum(self._trainings.take(at), Decimal(0))
        self._lost = self._lost or self._balance < 0
        self.earned_after = (self.earned_after or self._calls) if self._balance >= 0 and self._lost else None
