"""What the console reads: standings, the store, the artifacts, the rules, and the services of this process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from understudies.budget.ledger import Ledger
from understudies.datasets.object_store import ObjectStore
from understudies.runtime.clock import Clock
from understudies.runtime.health import ServiceHealth
from understudies.runtime.rules.rules import Rules
from understudies.runtime.store import Store
from understudies.status.standing import Overview, TaskStory


class StandingSource(Protocol):
    """Where the standings are from: the folded state of budget and evaluator, or the store alone."""

    async def overview(self, now: datetime) -> Overview:
        """Return the standing of all tasks, by name."""
        ...

    async def story(self, task: str, now: datetime) -> TaskStory | None:
        """Return the standing of a task and its story; None if there is no such task."""
        ...

    def gate_evidence(self, student: str) -> Mapping[str, Any]:
        """Return what the gates of a student know now; empty where that is not known here."""
        ...

    def ledger(self, task: str) -> Ledger | None:
        """Return the exact ledger of a task; None where it is not kept here."""
        ...


@dataclass(frozen=True, slots=True)
class ConsoleSource:
    """All that the pages are made of; `settings` are those in force, by the heading of the page that shows them."""

    standings: StandingSource
    store: Store
    clock: Clock
    rules: Callable[[], Rules]
    files: ObjectStore | None = None
    services: Callable[[], Awaitable[Sequence[ServiceHealth]]] | None = None
    settings: Sequence[tuple[str, BaseModel]] = ()
    steers: bool = True
    """Whether people may decide about tasks here: a played log has no future, and the observer alone no budget."""
    is_live: bool = True
    """Whether figures change: a log that was played has come to its end."""
    elsewhere: str = ""
    """What the pages lack, and where that is to be seen, in a sentence or two; empty where they lack nothing."""
