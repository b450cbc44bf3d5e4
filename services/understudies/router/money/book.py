"""What one process has spent and holds, purse by purse."""

from dataclasses import dataclass

from understudies.runtime.online import Standing


@dataclass(slots=True)
class Entry:
    """One purse as this process knows it, in billionths of a dollar.

    `total` is all that the process has spent from it, `told` how much of that the online state has taken note of,
    `open` what its `calls` in flight may cost, and `others` what other processes had spent when last heard of.
    """

    day: str
    keep_s: float
    total: int = 0
    told: int = 0
    open: int = 0
    calls: int = 0
    others: int = 0

    @property
    def used(self) -> int:
        """What is spent or may be, as far as this process knows."""
        return self.total + self.open + self.others

    def begin(self, nanos: int) -> None:
        """A call has leave to spend so much."""
        self.open += nanos
        self.calls += 1

    def end(self, nanos: int) -> None:
        """A call is over that had leave to spend so much."""
        self.open -= nanos
        self.calls -= 1

    def hear(self, total: int, standing: Standing) -> None:
        """Take note of how the purse stands after `total` was told."""
        self.told = max(self.told, total)
        # What the process told before and the server kept is in there too; all beyond it is of others.
        self.others = max(0, standing.spent - self.told)


class Book:
    """The entries of today and yesterday; older ones are kept only until everything in them is told."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._day = ""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    def open(self, key: str, day: str, keep_s: float) -> Entry:
        """The entry of a purse, made where there is none."""
        if day > self._day:
            self._forget_before(self._day)
            self._day = day
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(day, keep_s)
        return entry

    def _forget_before(self, day: str) -> None:
        kept = {key: e for key, e in self._entries.items() if e.day >= day or e.calls or e.total != e.told}
        self._entries = kept
