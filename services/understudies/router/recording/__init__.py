"""Recording: events from the calls to the bus, through memory and, while the bus is away, through the disk."""

from understudies.router.recording.backlog import Backlog
from understudies.router.recording.buffer import Pending
from understudies.router.recording.counts import Counts, Loss
from understudies.router.recording.outlet import Deliver, Outlet
from understudies.router.recording.recorder import Recorder

__all__ = ["Backlog", "Counts", "Deliver", "Loss", "Outlet", "Pending", "Recorder"]
