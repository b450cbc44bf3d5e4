"""Define the protocols that a service implements for the runner."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from understudies.events import Event, Topic
from understudies.runtime.bus.messages import Offsets, Record


class Service(Protocol):
    """What every service is made of."""

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
    """A service whose state is a fold over events and survives in snapshots."""

    def state(self) -> dict[str, Any]: ...
    async def restore(self, state: dict[str, Any]) -> None: ...


@runtime_checkable
class Replaying(Protocol):
    """A service that names the topics to read from their beginning where it has no snapshot."""

    @property
    def replay_topics(self) -> Sequence[Topic]: ...


@runtime_checkable
class Republishing(Protocol):
    """A service that says each thing once, and knows what it said last."""

    def recently_published(self) -> Sequence[Event]: ...


@runtime_checkable
class RunsWithoutBus(Protocol):
    """A service that does its work while its bus is away too, from the first moment on.

    What it knows by then may be old, so it heeds that only once it has handled all that the topics held.
    """

    def mark_stale(self) -> None:
        """What is known may be old; told before the start."""
        ...

    def mark_caught_up(self) -> None:
        """Everything was handled that the topics held when the bus was joined."""
        ...


@runtime_checkable
class Draining(Protocol):
    """A service that others wait for: it finishes that before its end, and handles events meanwhile."""

    async def drain(self) -> None:
        """Take no new work, and finish what has begun."""
        ...


@runtime_checkable
class PeriodClosing(Protocol):
    """A service that closes a span of time only once it has handled what its topics held when the span was over.

    Ticks come before a backlog is read. At those at which something is due it is told whether it is `is_behind`.
    """

    is_behind: bool

    def is_period_due(self, now: datetime) -> bool:
        """Whether a span is over that was not closed yet."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A moment, and the offsets below which a service had handled everything then."""

    at: datetime
    offsets: Offsets


ReplaySource = Callable[[datetime | None, Sequence[Topic]], AsyncIterator[Sequence[Event]]]
"""The events of the topics that were stored since the moment that a snapshot names; None where there is none."""
