"""A log of made-up calls, with what only its maker knows about each of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from understudies.backtest.replay.schedule import DEFAULT_START, sample_arrival_times

SYSTEM = "You sort the messages of an online shop's customers. Reply with one intent, in lower case, and nothing else."
TASK = "desk"
MODEL = "teacher-2026-01"


@dataclass(frozen=True, slots=True)
class GeneratedCall:
    """One call: what was asked, what the teacher answered, and the group to which the bench counts it."""

    at: datetime
    text: str
    answer: str
    group: str = "all"
    model: str = MODEL
    tags: dict[str, str] = field(default_factory=dict)
    system: str = SYSTEM
    task: str | None = TASK

    def to_record(self) -> dict[str, Any]:
        """The call as it is recorded."""
        told = ("system", self.system), ("user", self.text), ("assistant", self.answer)
        record: dict[str, Any] = {
            "created": round(self.at.timestamp(), 3),
            "model": self.model,
            "temperature": 0,
            "messages": [{"role": role, "content": content} for role, content in told],
            "tags": self.tags,
        }
        return record if self.task is None else {"task": self.task, **record}


@dataclass(frozen=True, slots=True)
class GeneratedLog:
    """Calls in order; `changed_at` is when something begins that was not so before, to the groups and classes named.

    `watched_classes` are the answers whose service is counted for the worst class; where there are none, all are.
    """

    calls: Sequence[GeneratedCall]
    changed_at: datetime | None = None
    changed_groups: frozenset[str] = frozenset()
    watched_classes: frozenset[str] = frozenset()

    def write(self, path: Path) -> None:
        """As JSON lines; line k is call k."""
        path.write_bytes(
            b"".join(orjson.dumps(call.to_record(), option=orjson.OPT_APPEND_NEWLINE) for call in self.calls)
        )


@dataclass(frozen=True, slots=True)
class LogSpec:
    """When the calls of a log happen."""

    rng: random.Random
    days: float
    per_day: int

    def sample_times(self) -> list[datetime]:
        """Ascending, busy by day and quiet by night, from a Monday on."""
        return sample_arrival_times(round(self.days * self.per_day), self.days, DEFAULT_START, self.rng)

    def time_at(self, share: float) -> datetime:
        """The moment at which that share of the days has passed."""
        return DEFAULT_START + timedelta(days=self.days * share)


def merge_calls(*parts: Sequence[GeneratedCall]) -> list[GeneratedCall]:
    """The calls of all parts in the order of their times."""
    return sorted((call for part in parts for call in part), key=lambda call: call.at)
