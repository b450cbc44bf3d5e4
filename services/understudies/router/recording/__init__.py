"""Recording: events from the calls to the bus, through memory and, while the bus is away, through the disk."""

from understudies.router.recording.backlog import AsyncSpool
from understudies.router.recording.buffer import PendingEvent
from understudies.router.recording.counts import LossReason, RecorderStats
from understudies.router.recording.outlet import EventSink, PublishEvents
from understudies.router.recording.recorder import InProcessRecorder
from understudies.router.recording.recording import EventRecorder
from understudies.router.recording.report import WorkerConfig
from understudies.router.recording.scribe import ProcessRecorder

__all__ = [
    "AsyncSpool",
    "WorkerConfig",
    "RecorderStats",
    "PublishEvents",
    "LossReason",
    "EventSink",
    "PendingEvent",
    "InProcessRecorder",
    "EventRecorder",
    "ProcessRecorder",
]
