"""Events that are decided but not published yet."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from understudies.events import BY_NAME, Event, Verdict, encode, topic_of
from understudies.runtime.bus import Bus

_SAID: Final = 100
_Written = Sequence[str]


class Outbox:
    """Keeps events until the bus has them, through failures and, as part of a snapshot, through restarts.

    What was decided is in the service's state at once; were its event lost, nobody else would ever hear of it. A bus
    that keeps nothing may lose it afterwards: what was said last is known, but for verdicts, of which none decides.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._events: list[Event] = []
        self._said: deque[_Written] = deque(maxlen=_SAID)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Take events, in order."""
        self._events += events

    async def flush(self) -> None:
        """Publish everything; what the bus did not take stays, and comes again with its id."""
        await self._bus.publish(*self._events)
        self._said += [_written(event) for event in self._events if not isinstance(event, Verdict)]
        self._events.clear()

    def said(self) -> list[Event]:
        """What was published last, oldest first."""
        return [_read(written) for written in self._said]

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot: topic and value of each event."""
        return {"waiting": [_written(event) for event in self._events], "said": list(self._said)}

    def restore(self, state: Mapping[str, Any] | Sequence[_Written]) -> None:
        """Continue from a snapshot; older ones have what is waiting alone."""
        waiting, said = (state["waiting"], state["said"]) if isinstance(state, Mapping) else (state, ())
        self._events = [_read(written) for written in waiting]
        self._said = deque(said, maxlen=_SAID)


def _written(event: Event) -> _Written:
    return [topic_of(event).name, encode(event).decode()]


def _read(written: _Written) -> Event:
    topic, value = written
    return BY_NAME[topic].decode(value.encode())
