"""Keep recorded calls on disk while nobody looks at them; of each, what is asked of all of them stays in memory."""

import pickle
import sys
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

from understudies.events import Request, Response, Usage
from understudies.importers.recorded_call import RecordedCall

_MAX_LOADED: Final = 64
"""Calls whose content stays in memory: while a call is played, it is looked at several times."""


class _Content(NamedTuple):
    """What is on disk of a call."""

    request: Request
    response: Response
    usage: Usage
    recorded_cost: Decimal | None
    latency_ms: float
    tags: dict[str, str]


class CallSpool:
    """Recorded calls in a temporary file without a name, which is gone with the last of its calls, or the process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="understudies-calls-")  # noqa: SIM115 - open while its calls live
        weakref.finalize(self, self._file.close)
        self._end = 0
        self._loaded: OrderedDict[int, _Content] = OrderedDict()

    def put(self, call: RecordedCall) -> "SpooledCall":
        """Write a call, and return it without its content in memory."""
        content = (call.request, call.response, call.usage, call.recorded_cost, call.latency_ms, call.tags)
        data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
        place = self._end
        self._file.seek(place)
        self._file.write(data)
        self._end += len(data)
        return SpooledCall(self, place, len(data), call)

    def load(self, place: int, size: int) -> _Content:
        """Return the content of a call."""
        content = self._loaded.get(place)
        if content is None:
            self._file.seek(place)
            content = self._loaded[place] = _Content(*pickle.loads(self._file.read(size)))
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.popitem(last=False)
        return content


def _on_disk(read: Callable[[_Content], Any]) -> Any:
    return property(lambda call: read(call._spool.load(call._place, call._size)))


class SpooledCall(RecordedCall):
    """A recorded call whose request and answer are read from disk whenever they are looked at."""

    __slots__ = ("_digest", "_place", "_size", "_spool")

    request = _on_disk(lambda content: content.request)
    response = _on_disk(lambda content: content.response)
    usage = _on_disk(lambda content: content.usage)
    recorded_cost = _on_disk(lambda content: content.recorded_cost)
    latency_ms = _on_disk(lambda content: content.latency_ms)
    tags = _on_disk(lambda content: content.tags)

    def __init__(self, spool: CallSpool, place: int, size: int, call: RecordedCall) -> None:
        self._spool, self._place, self._size = spool, place, size
        self._digest = bytes.fromhex(call.fingerprint)
        self._keep(
            line=call.line,
            at=call.at,
            task=call.task and sys.intern(call.task),
            model=sys.intern(call.model),
            critical=call.critical,
            episode=call.episode,
            trace=call.trace,
        )

    @property
    def fingerprint(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] # nobody sets it
        # Half the memory of its digits.
        return self._digest.hex()

    def with_changes(self, *, at: datetime | None, task: str | None, episode: str | None) -> Self:
        """Return the same call with another time, task and episode."""
        changed = object.__new__(type(self))
        changed._spool, changed._place, changed._size = self._spool, self._place, self._size
        changed._digest = self._digest
        kept = {"line": self.line, "model": self.model, "critical": self.critical, "trace": self.trace}
        changed._keep(at=at, task=task, episode=episode, **kept)
        return changed

    def _keep(self, **fields: object) -> None:
        """Set fields of the call, which type checkers take for frozen."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)
