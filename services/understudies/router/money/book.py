"""What one process has spent and holds, purse by purse."""

from dataclasses import dataclass

from understudies.runtime.online import CounterState


@dataclass(slots=True)
class BudgetUsage:
    """One purse as this process knows it, in billionths of a dollar.

    `total` is all that the process has spent from it, `told` how much of that the online state has taken note of,
    `open` what its `calls` in flight may cost, and `others` what other processes had spent when last heard of.
    """

    day: str
    retention_s: float
    spent: int = 0
    reported: int = 0
    held: int = 0
    open_holds: int = 0
    spent_elsewhere: int = 0

    @property
    def used(self) -> int:
        """What is spent or may be, as far as this process knows."""
        return self.spent + self.held + self.spent_elsewhere

    def add_hold(self, nanos: int) -> None:
        """A call has leave to spend so much."""
        self.held += nanos
        self.open_holds += 1

    def release_hold(self, nanos: int) -> None:
        """A call is over that had leave to spend so much."""
        self.held -= nanos
        self.open_holds -= 1

    def reconcile(self, reported: int, state: CounterState) -> None:
        """Take note of how the purse stands after `total` was told."""
        self.reported = max(self.reported, reported)
        # What the process told before and the server kept is in there too; all beyond it is of others.
        self.spent_elsewhere = max(0, state.spent - self.reported)


class LocalUsage:
    """The entries of today and yesterday; older ones are kept only until everything in them is told."""

    def __init__(self) -> None:
        self._usage: dict[str, BudgetUsage] = {}
        self._day = ""

    def __len__(self) -> int:
        return len(self._usage)

    def __contains__(self, key: str) -> bool:
        return key in self._usage

    def __getitem__(self, key: str) -> BudgetUsage:
        return self._usage[key]

    def get_or_create(self, key: str, day: str, keep_s: float) -> BudgetUsage:
        """The entry of a purse, made where there is none."""
        if day > self._day:
            self._forget_before(self._day)
            self._day = day
        entry = self._usage.get(key)
        if entry is None:
            entry = self._usage[key] = BudgetUsage(day, keep_s)
        return entry

    def _forget_before(self, day: str) -> None:
        kept = {key: e for key, e in self._usage.items() if e.day >= day or e.open_holds or e.spent != e.reported}
        self._usage = kept
