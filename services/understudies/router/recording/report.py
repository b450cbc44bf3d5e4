"""What a router and the process that records for it tell each other; beside these, lists of packed events go there."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from understudies.router.recording.counts import RecorderStats, SpoolSnapshot
from understudies.router.recording.outstanding import CAPACITY_BYTES
from understudies.runtime import BusSettings


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What it is told first: where events go, and the folder and bytes for those that wait while the bus is away."""

    bus: BusSettings
    capacity: int
    spool: Path | None = None
    spool_bytes: int = 0
    capacity_bytes: int = CAPACITY_BYTES
    redact: bool = True


class Shutdown(NamedTuple):
    """Deliver what waits, within so many seconds, put the rest on disk, and end."""

    timeout_s: float


class WorkerStatus(NamedTuple):
    """How it fares; the first `settled` of the events that it was given need be kept by nobody else any longer."""

    acked: int
    bus_unavailable: bool
    counts: RecorderStats
    spool: SpoolSnapshot | None
