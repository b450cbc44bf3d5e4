"""What every service runs on: the bus, the store, time, snapshots, telemetry and the embedded broker."""

from understudies.runtime.bus import Bus, Handler, Offsets
from understudies.runtime.clock import Clock, SystemClock, VirtualClock
from understudies.runtime.embedded import EmbeddedBroker
from understudies.runtime.errors import ConfigurationError, Reject, RetryLater, StopService, UnderstudiesError
from understudies.runtime.flow import Flow
from understudies.runtime.kafka import ensure_topics
from understudies.runtime.message import Message, message_of
from understudies.runtime.online import online_state
from understudies.runtime.poison import DEAD_LETTERS, Poison, decode
from understudies.runtime.publisher import NotTaken, Refused
from understudies.runtime.records import Record
from understudies.runtime.seldom import Seldom
from understudies.runtime.settings import BusSettings, OnlineSettings, StoreSettings, TelemetrySettings
from understudies.runtime.snapshots import Snapshot, Snapshots
from understudies.runtime.store import Store
from understudies.runtime.telemetry import Telemetry

__all__ = [
    "DEAD_LETTERS",
    "Bus",
    "BusSettings",
    "Clock",
    "ConfigurationError",
    "EmbeddedBroker",
    "Flow",
    "Handler",
    "Message",
    "NotTaken",
    "Offsets",
    "OnlineSettings",
    "Poison",
    "Record",
    "Refused",
    "Reject",
    "RetryLater",
    "Seldom",
    "Snapshot",
    "Snapshots",
    "StopService",
    "Store",
    "StoreSettings",
    "SystemClock",
    "Telemetry",
    "TelemetrySettings",
    "UnderstudiesError",
    "VirtualClock",
    "decode",
    "ensure_topics",
    "message_of",
    "online_state",
]
