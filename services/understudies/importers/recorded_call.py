"""Define a recorded call: a request that an agent sent to a teacher, and the answer."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Self

from understudies.events import Request, Response, Usage
from understudies.runtime.fast_dataclass import fast_dataclass


@fast_dataclass
class RecordedCall:
    """One call read from a log; `line` counts lines (or the elements of an array) from 1.

    `trace` is an id that many logs give to every call: it names an episode only if several calls share it.
    """

    line: int
    at: datetime | None
    task: str | None
    request: Request
    response: Response
    model: str
    usage: Usage
    recorded_cost: Decimal | None
    latency_ms: float
    tags: dict[str, str]
    critical: bool
    fingerprint: str
    episode: str | None = None
    trace: str | None = None

    def with_changes(self, *, at: datetime | None, task: str | None, episode: str | None) -> Self:
        """Return the same call with another time, task and episode."""
        return replace(self, at=at, task=task, episode=episode)


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """A line that is not a recorded call, with the reason, and the file if the log has several."""

    line: int
    reason: str
    file: str | None = None

    @property
    def place(self) -> str:
        """Where the line is, for people."""
        return f"{self.file}, line {self.line}" if self.file else f"line {self.line}"


@dataclass(slots=True)
class ParsedLog:
    """The content of a log file: its calls in recorded order, and the lines that were skipped."""

    format: str = "empty"
    calls: list[RecordedCall] = field(default_factory=list)
    skipped: list[SkippedLine] = field(default_factory=list)
