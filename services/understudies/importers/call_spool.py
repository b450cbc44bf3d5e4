"""Keep recorded calls on disk while nobody looks at them; of each, what is asked of all of them stays in memory."""

import os
import pickle
import sys
import tempfile
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from understudies.events import Request, Response, Usage
from understudies.importers.recorded_call import RecordedCall
from understudies.runtime.lazy_sequence import LazySequence
from understudies.runtime.moments import Moments

_MAX_LOADED: Final = 64
"""Calls whose content stays in memory: while a call is played, it is looked at several times."""
_UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands in a column for the time of a call without one."""
_NO_USAGE: Final = Usage()
"""The usage of all calls of a log that has none: it is not read from disk."""

T = TypeVar("T", bound=str | None)


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
        self._end = self._flushed = 0
        self._loaded: OrderedDict[int, _Content] = OrderedDict()

    def put(self, call: RecordedCall) -> "SpooledCall":
        """Write a call, and return it without its content in memory."""
        content = (call.request, call.response, call.usage, call.recorded_cost, call.latency_ms, call.tags)
        data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
        place = self._end
        self._file.write(data)
        self._end += len(data)
        return SpooledCall(self, place, len(data), call)

    def load(self, place: int, size: int) -> _Content:
        """Return the content of a call."""
        content = self._loaded.get(place)
        if content is None:
            if place + size > self._flushed:
                self._file.flush()
                self._flushed = self._end
            written = os.pread(self._file.fileno(), size, place)
            content = self._loaded[place] = _Content(*pickle.loads(written))
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.popitem(last=False)
        return content


def _on_disk(read: Callable[[_Content], Any]) -> Any:
    return property(lambda call: read(call._spool.load(call._place, call._size)))


class SpooledCall(RecordedCall):
    """A recorded call whose request, answer and usage are read from disk whenever they are looked at."""

    __slots__ = ("_digest", "_has_usage", "_place", "_size", "_spool")

    request = _on_disk(lambda content: content.request)
    response = _on_disk(lambda content: content.response)
    recorded_cost = _on_disk(lambda content: content.recorded_cost)
    latency_ms = _on_disk(lambda content: content.latency_ms)
    tags = _on_disk(lambda content: content.tags)

    def __init__(self, spool: CallSpool, place: int, size: int, call: RecordedCall) -> None:
        has_usage = call.usage != _NO_USAGE or bool(call.usage.model_fields_set)
        self._place_on(spool, place, size, bytes.fromhex(call.fingerprint), has_usage)
        task = call.task and sys.intern(call.task)
        self._keep(call.line, call.at, task, sys.intern(call.model), call.critical, call.episode, call.trace)

    @property
    def usage(self) -> Usage:  # pyright: ignore[reportIncompatibleVariableOverride] # nobody sets it
        return self._spool.load(self._place, self._size).usage if self._has_usage else _NO_USAGE

    @property
    def fingerprint(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] # nobody sets it
        # Half the memory of its digits.
        return self._digest.hex()

    def with_changes(self, *, at: datetime | None, task: str | None, episode: str | None) -> Self:
        """Return the same call with another time, task and episode."""
        changed = object.__new__(type(self))
        changed._place_on(self._spool, self._place, self._size, self._digest, self._has_usage)
        changed._keep(self.line, at, task, self.model, self.critical, episode, self.trace)
        return changed

    def _place_on(self, spool: CallSpool, place: int, size: int, digest: bytes, has_usage: bool) -> None:
        self._spool, self._place, self._size = spool, place, size
        self._digest, self._has_usage = digest, has_usage

    def _keep(
        self,
        line: int,
        at: datetime | None,
        task: str | None,
        model: str,
        critical: bool,
        episode: str | None,
        trace: str | None,
    ) -> None:
        """Set the fields in memory."""
        call: Any = self  # type checkers take the fields for frozen
        call.line, call.at, call.task, call.model = line, at, task, model
        call.critical, call.episode, call.trace = critical, episode, trace


class _SharedValues(Generic[T]):
    """Values by place, each of them once in memory."""

    def __init__(self, values: Iterable[T]) -> None:
        known: dict[T, int] = {}
        self._places = array("I", [known.setdefault(value, len(known)) for value in values])
        self._values = list(known)

    def __getitem__(self, place: int) -> T:
        return self._values[self._places[place]]


class SpooledCalls(LazySequence[RecordedCall]):
    """Calls of one spool in columns, each made anew when it is looked at: as objects they take five times the memory.

    Raises ValueError for calls of several spools, and for fingerprints of several lengths.
    """

    def __init__(self, calls: Sequence[SpooledCall]) -> None:
        spools = {id(call._spool): call._spool for call in calls}
        widths = {len(call._digest) for call in calls}
        if len(spools) > 1 or len(widths) > 1:
            raise ValueError(f"calls of {len(spools)} spools, with fingerprints of {sorted(widths)} bytes")
        self._spool = next(iter(spools.values()), None)
        self._width = max(widths, default=0)
        self._digests = b"".join(call._digest for call in calls)
        self._places = array("Q", [call._place for call in calls])
        self._sizes = array("Q", [call._size for call in calls])
        self._lines = array("Q", [call.line for call in calls])
        self._critical = bytes(call.critical for call in calls)
        self._has_usage = bytes(call._has_usage for call in calls)
        self._tasks = _SharedValues(call.task for call in calls)
        self._models = _SharedValues(call.model for call in calls)
        self._episodes = _SharedValues(call.episode for call in calls)
        self._traces = _SharedValues(call.trace for call in calls)
        self._moments = Moments(call.at or _UNDATED for call in calls)
        self._dated = bytes(call.at is not None for call in calls)

    def __len__(self) -> int:
        return len(self._places)

    def _make(self, place: int) -> RecordedCall:
        call = object.__new__(SpooledCall)
        digest = self._digests[self._width * place : self._width * (place + 1)]
        assert self._spool is not None
        has_usage = bool(self._has_usage[place])
        call._place_on(self._spool, self._places[place], self._sizes[place], digest, has_usage)
        call._keep(
            self._lines[place],
            self._moments[place] if self._dated[place] else None,
            self._tasks[place],
            self._models[place],
            bool(self._critical[place]),
            self._episodes[place],
            self._traces[place],
        )
        return call


def pack_calls(calls: Sequence[RecordedCall]) -> Sequence[RecordedCall]:
    """Return the calls with less of them in memory, if they are on disk."""
    spooled = [call for call in calls if isinstance(call, SpooledCall)]
    return SpooledCalls(spooled) if len(spooled) == len(calls) else calls
