"""Count what the tries of a training have cost that were put off or failed: no outcome of theirs holds it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated

from understudies.judges.cost_sum import CostSum
from understudies.persistence.fields import SORTED
from understudies.persistence.saved_state import SavedState


@dataclass(frozen=True, slots=True)
class TryCosts:
    """What one try of a training pays beside what its outcome says, on top of the tries before it.

    `judging` is what the judge has cost, `unreported` what others charged for work that came to no outcome, and
    `counted` names the notes of the journal whose cost is counted: whoever finds them there does not count it again.
    """

    judging: CostSum
    unreported: CostSum
    counted: set[str]

    @property
    def total_usd(self) -> Decimal:
        """The sum in US dollars."""
        return self.judging.total_usd + self.unreported.total_usd


@dataclass(slots=True)
class PutOffCosts(SavedState):
    """What the tries of a student's training that were put off have cost in US dollars, kept across restarts."""

    student: str
    judging_usd: Decimal = Decimal(0)
    charged_usd: Decimal = Decimal(0)
    counted: Annotated[set[str], SORTED] = field(default_factory=set)

    def begin_try(self) -> TryCosts:
        """Return the costs for the next try to go on with."""
        return TryCosts(CostSum(self.judging_usd), CostSum(self.charged_usd), set(self.counted))

    def put_off(self, tried: TryCosts, finished_usd: Decimal) -> None:
        """Keep what a try has cost; `finished_usd` is that of an outcome that may yet be lost, as it is not saved."""
        self.judging_usd = tried.judging.total_usd
        self.charged_usd = tried.unreported.total_usd + finished_usd
        self.counted = set(tried.counted)


@contextmanager
def counting_lost(unreported: CostSum, charged_usd: Callable[[], Decimal]) -> Iterator[None]:
    """Count what was charged so far if an error ends the work: its outcome would have said it."""
    try:
        yield
    except BaseException:
        unreported.add(charged_usd())
        raise
