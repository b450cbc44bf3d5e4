"""What every service runs on: the bus, the store, time, snapshots, telemetry and the embedded broker."""

from understudies.runtime.bus import BatchHandler, Bus, Offsets
from understudies.runtime.clock import Clock, SystemClock, VirtualClock
from understudies.runtime.embedded import EmbeddedBroker
from understudies.runtime.errors import ConfigurationError, Reject, RetryLater, StopService, UnderstudiesError
from understudies.runtime.flow import InFlightTracker
from understudies.runtime.kafka import ensure_topics
from understudies.runtime.message import BusMessage, encode_message
from understudies.runtime.online import create_online_state
from understudies.runtime.poison import DEAD_LETTERS, InvalidRecord, decode_records
from understudies.runtime.publisher import NotDelivered, Undeliverable
from understudies.runtime.records import Record
from understudies.runtime.seldom import Throttle
from understudies.runtime.settings import BusSettings, OnlineSettings, StoreSettings, TelemetrySettings
from understudies.runtime.snapshots import Snapshot, SnapshotStore
from understudies.runtime.store import Store
from understudies.runtime.telemetry import Telemetry

__all__ = [
    "DEAD_LETTERS",
    "Bus",
    "BusSettings",
    "Clock",
    "ConfigurationError",
    "EmbeddedBroker",
    "InFlightTracker",
    "BatchHandler",
    "BusMessage",
    "NotDelivered",
    "Offsets",
    "OnlineSettings",
    "InvalidRecord",
    "Record",
    "Undeliverable",
    "Reject",
    "RetryLater",
    "Throttle",
    "Snapshot",
    "SnapshotStore",
    "StopService",
    "Store",
    "StoreSettings",
    "SystemClock",
    "Telemetry",
    "TelemetrySettings",
    "UnderstudiesError",
    "VirtualClock",
    "decode_records",
    "ensure_topics",
    "encode_message",
    "create_online_state",
]
