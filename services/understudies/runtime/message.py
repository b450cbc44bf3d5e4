"""An event as it goes to its topic: encoded, with the headers of CloudEvents 1.0."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from understudies.events import Event, encode, topic_of

Headers = Sequence[tuple[str, bytes]]
"""Names and values, in order."""

_VERSION: Final = ("ce_specversion", b"1.0")
_JSON: Final = ("content-type", b"application/json")


class Message(NamedTuple):
    """What the bus needs to publish an event, now or after a restart."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """About how many bytes it takes on the way."""
        return len(self.value) + len(self.key or b"") + sum(len(name) + len(value) for name, value in self.headers)


def message_of(event: Event, source: str) -> Message:
    """The message that carries an event of the service `source`."""
    topic = topic_of(event)
    headers = (
        ("ce_id", event.id.encode("utf-8", "surrogatepass")),
        ("ce_type", _kind(getattr(event, "type", topic.name))),
        ("ce_source", _source(source)),
        ("ce_time", event.at.isoformat().replace("+00:00", "Z").encode()),
        _VERSION,
        _JSON,
    )
    return Message(topic.name, encode(event), topic.key(event).encode("utf-8", "surrogatepass"), headers)


@lru_cache(maxsize=64)
def _kind(name: str) -> bytes:
    return f"understudies.{name}".encode()


@lru_cache(maxsize=64)
def _source(service: str) -> bytes:
    return f"/understudies/{service}".encode()
