"""Keep events that are decided but not published yet."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from understudies.events import BY_NAME, Event, Verdict, encode, topic_of
from understudies.runtime.bus.bus import Bus

_MAX_RECENT: Final = 100
_EncodedEvent = Sequence[str]


class Outbox:
    """Keep events until the bus has them, through failures and, as part of a snapshot, through restarts.

    A decision is in the service's state at once; if its event were lost, no other service would ever learn of it. A bus
    without storage may lose the event after it was published: the outbox therefore keeps the most recently published
    events, except verdicts, of which no single one decides anything.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._events: list[Event] = []
        self._recent: deque[_EncodedEvent] = deque(maxlen=_MAX_RECENT)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Append events, in order."""
        self._events += events

    async def flush(self) -> None:
        """Publish all events; if that fails, they stay, to be published again with the same ids."""
        await self._bus.publish(*self._events)
        self._recent += [_encode_event(event) for event in self._events if not isinstance(event, Verdict)]
        self._events.clear()

    def recently_published(self) -> list[Event]:
        """Return the most recently published events, oldest first."""
        return [_decode_event(written) for written in self._recent]

    def state(self) -> dict[str, Any]:
        """Return a JSON-serialisable snapshot: topic and value of each event."""
        return {"waiting": [_encode_event(event) for event in self._events], "said": list(self._recent)}

    def restore(self, state: Mapping[str, Any] | Sequence[_EncodedEvent]) -> None:
        """Restore a snapshot; those of older versions hold only the waiting events."""
        waiting, recent = (state["waiting"], state["said"]) if isinstance(state, Mapping) else (state, ())
        self._events = [_decode_event(written) for written in waiting]
        self._recent = deque(recent, maxlen=_MAX_RECENT)


def _encode_event(event: Event) -> _EncodedEvent:
    return [topic_of(event).name, encode(event).decode()]


def _decode_event(written: _EncodedEvent) -> Event:
    topic, value = written
    return BY_NAME[topic].decode(value.encode())
