"""What became of the events, in numbers."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

LossReason = Literal["buffer_full", "spool_full", "refused", "spoilt", "unwritable"]
"""Why an event is lost: no room in memory, none on disk, too large for the bus, unreadable on disk, or the process
that records ended over it again and again."""


@dataclass(slots=True)
class RecorderStats:
    """Counted since the start; what is recorded is published, spooled, dropped or still in memory."""

    recorded: int = 0
    """Taken, or dropped for want of room."""
    unrecordable: int = 0
    """Could not be redacted or encoded; nothing of them was kept."""
    published: int = 0
    """Arrived at the bus, those from the spool included."""
    spooled: int = 0
    """Written to disk."""
    lost: Counter[LossReason] = field(default_factory=Counter)

    @property
    def recorded_share(self) -> float:
        """Of the calls handed over, the share that is not lost and could be recorded; 1 before the first."""
        return 1.0 if not self.recorded else 1.0 - (self.dropped + self.unrecordable) / self.recorded

    @property
    def dropped(self) -> int:
        """Lost, for whichever reason."""
        return self.lost.total()

    def plus(self, other: "RecorderStats") -> "RecorderStats":
        """Both together."""
        return RecorderStats(
            self.recorded + other.recorded,
            self.unrecordable + other.unrecordable,
            self.published + other.published,
            self.spooled + other.spooled,
            self.lost + other.lost,
        )


class SpoolSnapshot(NamedTuple):
    """What waits on disk: its bytes, in how many files, and how long ago the oldest was begun."""

    size: int
    segments: int
    age_s: float
