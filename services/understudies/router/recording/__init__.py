"""Recording: events from the calls to the bus, through memory and, while the bus is away, through the disk."""

from understudies.router.recording.backlog import Backlog
from understudies.router.recording.buffer import Pending
from understudies.router.recording.counts import Counts, Loss
from understudies.router.recording.outlet import Deliver, Outlet
from understudies.router.recording.recorder import Recorder
from understudies.router.recording.recording import Recording
from understudies.router.recording.report import Brief
from understudies.router.recording.scribe import Scribe

__all__ = [
    "Backlog",
    "Brief",
    "Counts",
    "Deliver",
    "Loss",
    "Outlet",
    "Pending",
    "Recorder",
    "Recording",
    "Scribe",
]
