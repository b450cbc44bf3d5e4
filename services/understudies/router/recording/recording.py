"""What the router needs of whatever records its calls."""

from typing import Protocol

from understudies.router.recording.counts import RecorderStats


class SpoolStats(Protocol):
    """Events on disk: their bytes, in how many files, and how long ago the oldest was begun."""

    @property
    def size(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def age_s(self) -> float: ...


class EventRecorder(Protocol):
    """Sees to it that what was recorded reaches the bus: in this process, or in one of its own."""

    def __len__(self) -> int:
        """How many events are in memory."""
        ...

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        ...

    @property
    def counts(self) -> RecorderStats: ...
    @property
    def dropped(self) -> int:
        """How many events are lost."""
        ...

    @property
    def bus_unavailable(self) -> bool:
        """Whether the bus did not take the last events."""
        ...

    @property
    def spool(self) -> SpoolStats | None:
        """What waits on disk, where there is room for it."""
        ...

    @property
    def restarts(self) -> int:
        """How often the process that records ended and had to be started again; 0 where there is none."""
        ...

    async def start(self) -> None:
        """Begin to deliver in the background."""
        ...

    async def flush(self) -> None:
        """Wait until nothing is left in memory."""
        ...

    async def deliver(self, timeout_s: float = 5.0) -> bool:
        """The same within a time-out; False, and a line in the log, where something is left."""
        ...

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Deliver what waits, within a time-out, put the rest on disk, and end."""
        ...
