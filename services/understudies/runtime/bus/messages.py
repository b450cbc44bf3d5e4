"""Define records as handlers get them and messages as publishers send them, with the headers of CloudEvents 1.0."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from understudies.events import Event, Invocation, encode, topic_of


class EventCache:
    """The events of the latest records of one process, so that its services do not each decode the same."""

    def __init__(self, *, capacity: int = 2048, capacity_bytes: int = 4 * 1024 * 1024) -> None:
        """Keep at most `capacity` events, of records whose values have `capacity_bytes` together."""
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._events: OrderedDict[tuple[str, int, int], tuple[Event, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of events that are kept."""
        return len(self._events)

    def get(self, record: "Record") -> Event | None:
        """Return the event of a record, if it is kept."""
        found = self._events.get((record.topic, record.partition, record.offset))
        return None if found is None else found[0]

    def put(self, record: "Record", event: Event) -> None:
        """Keep the event of a record instead of the oldest ones."""
        size = len(record.value)
        self._events[record.topic, record.partition, record.offset] = event, size
        self._bytes += size
        while len(self._events) > self._capacity or self._bytes > self._capacity_bytes:
            self._bytes -= self._events.popitem(last=False)[1][1]


@dataclass(frozen=True, slots=True)
class Record:
    """Message of a topic, not yet decoded; `events` has the event, if another service has just decoded it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    events: EventCache | None = field(default=None, repr=False, compare=False)


BusHeaders = Sequence[tuple[str, bytes]]
"""Names and values, in order."""

TRACEPARENT: Final = "traceparent"
"""The header of the W3C trace context."""
_CE_VERSION: Final = ("ce_specversion", b"1.0")
_CONTENT_TYPE: Final = ("content-type", b"application/json")


class BusMessage(NamedTuple):
    """Encoded event that the bus can publish, now or after a restart."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: BusHeaders = ()

    @property
    def size(self) -> int:
        """The approximate number of bytes on the wire."""
        return len(self.value) + len(self.key or b"") + sum(len(name) + len(value) for name, value in self.headers)


def encode_message(event: Event, source: str) -> BusMessage:
    """Encode an event of the service `source` as a message."""
    topic = topic_of(event)
    headers: tuple[tuple[str, bytes], ...] = (
        ("ce_id", event.id.encode("utf-8", "surrogatepass")),
        ("ce_type", _ce_type(getattr(event, "type", topic.name))),
        ("ce_source", _ce_source(source)),
        ("ce_time", event.at.isoformat().replace("+00:00", "Z").encode()),
        _CE_VERSION,
        _CONTENT_TYPE,
    )
    if isinstance(event, Invocation) and event.traceparent is not None:
        headers = (*headers, (TRACEPARENT, event.traceparent.encode()))
    return BusMessage(topic.name, encode(event), topic.key(event).encode("utf-8", "surrogatepass"), headers)


@lru_cache(maxsize=64)
def _ce_type(name: str) -> bytes:
    return f"understudies.{name}".encode()


@lru_cache(maxsize=64)
def _ce_source(service: str) -> bytes:
    return f"/understudies/{service}".encode()


BatchHandler = Callable[[Sequence[Record]], Awaitable[None]]
"""Handles a batch; if it returns, the batch is done, and if it raises, the batch is redelivered."""

Offsets = Mapping[tuple[str, int], int]
"""The next offset to handle, by topic and partition."""
