"""Define the protocols that a service implements for the runner."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from understudies.events import Event, Topic
from understudies.runtime.bus.messages import Offsets, Record


class Service(Protocol):
    """Interface of every service."""

    @property
    def name(self) -> str: ...
    @property
    def topics(self) -> Sequence[Topic]: ...
    @property
    def max_records(self) -> int: ...

    async def start(self) -> None: ...
    async def handle(self, records: Sequence[Record]) -> None: ...
    async def tick(self, now: datetime) -> None: ...
    async def stop(self) -> None: ...


@runtime_checkable
class Stateful(Protocol):
    """Service whose state is a fold over events and survives in snapshots."""

    def state(self) -> dict[str, Any]: ...
    async def restore(self, state: dict[str, Any]) -> None: ...


@runtime_checkable
class Replaying(Protocol):
    """Service that names the topics to read from their beginning if it has no snapshot."""

    @property
    def replay_topics(self) -> Sequence[Topic]: ...


@runtime_checkable
class Republishing(Protocol):
    """Service that publishes each event once, and knows its most recently published events."""

    def recently_published(self) -> Sequence[Event]: ...


@runtime_checkable
class RunsWithoutBus(Protocol):
    """Service that also works while its bus is unavailable, even at the start.

    Its state may be stale then, so it relies on it only once it has handled the backlog of its topics.
    """

    def mark_stale(self) -> None:
        """Mark the state as possibly stale; called before the start."""
        ...

    def mark_caught_up(self) -> None:
        """Mark the state as current: everything that the topics held when the bus was joined is handled."""
        ...


@runtime_checkable
class Partitionable(Service, Stateful, Protocol):
    """Service whose state is of single tasks, so that it can be dealt out by task."""

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        """Drop the state of all tasks of which `owns` is not true."""
        ...


@runtime_checkable
class Draining(Protocol):
    """Service that finishes pending work for its clients before it stops, and handles events meanwhile."""

    async def drain(self) -> None:
        """Accept no new work, and finish the work in progress."""
        ...


@runtime_checkable
class PeriodClosing(Protocol):
    """Service that closes a period only once it has handled all events that its topics held at the period's end.

    Ticks may come before a backlog is read: if a period is due, the runner sets `is_behind` before the tick.
    """

    is_behind: bool

    def is_period_due(self, now: datetime) -> bool:
        """Return whether a period has ended and is not closed yet."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Time, and the offsets below which a service had handled everything by then."""

    at: datetime
    offsets: Offsets


ReplaySource = Callable[[datetime | None, Sequence[Topic]], AsyncIterator[Sequence[Event]]]
"""Returns the events of the topics stored since the time that a snapshot names; None without a snapshot."""
