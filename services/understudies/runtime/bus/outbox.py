"""Keep events that are decided but not published yet."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final

from understudies.events import BY_NAME, Event, Verdict, encode, topic_of
from understudies.persistence.fields import As
from understudies.persistence.saved_state import Key, SavedState
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.publisher import Undeliverable

_MAX_RECENT: Final = 100
_EncodedEvent = list[str]
"""The topic and the value of an event."""


def _encode_event(event: Event) -> _EncodedEvent:
    return [topic_of(event).name, encode(event).decode()]


def _decode_event(written: _EncodedEvent) -> Event:
    topic, value = written
    return BY_NAME[topic].decode(value.encode())


_SavedEvent = Annotated[Event, As(_EncodedEvent, read=_decode_event, write=_encode_event)]


class Outbox(SavedState):
    """Keep events until the bus has them, through failures and, as part of a snapshot, through restarts.

    A decision is in the service's state at once; if its event were lost, no other service would ever learn of it. A bus
    without storage may lose the event after it was published: the outbox therefore keeps the most recently published
    events, except verdicts, of which no single one decides anything.
    """

    _events: Annotated[list[_SavedEvent], Key("waiting")]
    _recent: Annotated[deque[_EncodedEvent], Key("said")]

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._events = []
        self._recent = deque(maxlen=_MAX_RECENT)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Append events, in order."""
        self._events += events

    async def flush(self) -> None:
        """Publish all events; if that fails, they stay, to be published again with the same ids.

        An event that is too large for its topic goes to the dead letters: it must not hold up the others for ever.
        """
        try:
            await self._bus.publish(*self._events)
        except Undeliverable as error:
            rejected = frozenset(error.rejected)
            await self._bus.dead_letter_events([self._events[index] for index in error.rejected], str(error))
            self._events = [event for index, event in enumerate(self._events) if index not in rejected]
        self._recent += [_encode_event(event) for event in self._events if not isinstance(event, Verdict)]
        self._events.clear()

    def keep_tasks(self, owns: Callable[[str], bool]) -> None:
        """Drop the events of all tasks of which `owns` is not true."""
        self._events = [event for event in self._events if owns(event.task)]
        recent = [written for written in self._recent if owns(_decode_event(written).task)]
        self._recent = deque(recent, maxlen=_MAX_RECENT)

    def recently_published(self) -> list[Event]:
        """Return the most recently published events, oldest first."""
        return [_decode_event(written) for written in self._recent]

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        """Convert a snapshot that holds only the waiting events."""
        return state if isinstance(state, Mapping) else {"waiting": state, "said": ()}

    def _on_restored(self) -> None:
        self._recent = deque(self._recent, maxlen=_MAX_RECENT)
