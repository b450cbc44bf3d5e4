"""Join spans that tell no content with the log records in which instrumentations tell it, by trace and span."""

import pickle
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from understudies.importers.nesting import SpanKey

_PREFIX: Final = "gen_ai."
_ASKED: Final = ".message"
_ANSWERED: Final = ".choice"
_DETAILS: Final = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt", "gen_ai.completion")
_CHAT: Final = {"gen_ai.operation.name": "chat"}


class _Kept(NamedTuple):
    """A record on disk: where it is in the log, its place and its size."""

    file: str | None
    line: int
    place: int
    size: int


class JoinedSpan(NamedTuple):
    """A call whose parts were joined, or one of which a part is missing (`reason`), and where it is in the log."""

    file: str | None
    line: int
    record: dict[str, Any]
    reason: str | None = None


class _Event(NamedTuple):
    """An event of a call, and where it is in the log."""

    file: str | None
    line: int
    record: dict[str, Any]


class SpanLogs:
    """Keeps spans without content, and events of calls, until the whole log was read.

    They are on disk, as a log may hold nothing else; the ids and places of each stay in memory. `file` names the file
    that is read if there are several.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="understudies-spans-")  # noqa: SIM115 - open while they wait
        weakref.finalize(self, self._file.close)
        self._end = 0
        self.file: str | None = None
        self._spans: dict[SpanKey, _Kept] = {}
        self._events: dict[SpanKey, list[_Kept]] = {}
        self._failed: set[SpanKey] = set()

    def add_span(self, line: int, span: Mapping[str, Any]) -> bool:
        """Keep a span without content; returns False if it has no ids by which events could belong to it."""
        key = _key_of(span)
        if key is None or key in self._spans:
            return False
        self._spans[key] = self._keep(line, span)
        return True

    def add_failed(self, span: Mapping[str, Any]) -> None:
        """Remember a span of a call that failed, whose events tell no answer either."""
        if (key := _key_of(span)) is not None:
            self._failed.add(key)

    def add_event(self, line: int, event: Mapping[str, Any]) -> bool:
        """Keep an event of a call; returns False if it is none, or has no ids of a span."""
        key = _key_of(event)
        if key is None or not is_event_of_call(event):
            return False
        self._events.setdefault(key, []).append(self._keep(line, event))
        return True

    def finish(self, known: Mapping[SpanKey, object]) -> Iterator[JoinedSpan]:
        """Yield the calls that the events tell, with their spans, and the spans without events; by their lines.

        `known` are the spans that are calls by themselves: their events tell the same again.
        """
        found: list[JoinedSpan] = []
        for key, kept in self._events.items():
            events = self._load_once(kept)
            if key in known or key in self._failed:
                found.append(
                    JoinedSpan(*events[0], "an event of a call that failed" if key in self._failed else _REPEATED)
                )
                continue
            calls = _split_calls(events)
            waiting = self._spans.pop(key, None) if len(calls) == 1 else None
            span = _Event(waiting.file, waiting.line, self._load(waiting)) if waiting else None
            found += [_join(call, span) for call in calls]
        found += [JoinedSpan(kept.file, kept.line, self._load(kept)) for kept in self._spans.values()]
        self._spans.clear()
        self._events.clear()
        yield from sorted(found, key=lambda joined: (joined.file or "", joined.line))

    def _keep(self, line: int, record: Mapping[str, Any]) -> _Kept:
        data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        kept = _Kept(self.file, line, self._end, len(data))
        self._file.seek(self._end)
        self._file.write(data)
        self._end += len(data)
        return kept

    def _load(self, kept: _Kept) -> dict[str, Any]:
        self._file.seek(kept.place)
        record: dict[str, Any] = pickle.loads(self._file.read(kept.size))
        return record

    def _load_once(self, kept: list[_Kept]) -> list[_Event]:
        """Return events, each once: exporters send a batch again whose answer was lost."""
        found: list[_Event] = []
        for one in kept:
            event = self._load(one)
            if all(event != other.record for other in found):
                found.append(_Event(one.file, one.line, event))
        return found


_REPEATED: Final = "an event that tells a call of the log again, whose span has the content too"


def is_event_of_call(record: Mapping[str, Any]) -> bool:
    """Return whether a log record tells a call of a model, or one of its messages."""
    return tells_message(record) or any(name in record["attributes"] for name in _DETAILS)


def tells_message(record: Mapping[str, Any]) -> bool:
    """Return whether a log record tells one message of a call."""
    name = record.get("name")
    return isinstance(name, str) and name.startswith(_PREFIX) and name.endswith((_ASKED, _ANSWERED))


def _key_of(record: Mapping[str, Any]) -> SpanKey | None:
    trace, span = record.get("traceId"), record.get("spanId")
    return (trace, span) if isinstance(trace, str) and trace and isinstance(span, str) and span else None


def _split_calls(events: list[_Event]) -> list[list[_Event]]:
    """Split the events of a span into calls: a whole call each, or messages up to the choices after them.

    Where calls have no spans of their own, all of those inside of an agent's span have its id.
    """
    calls: list[list[_Event]] = []
    is_ended = True
    for event in sorted(events, key=lambda one: _nanoseconds(one.record.get("startTimeUnixNano"))):
        is_choice = str(event.record.get("name")).endswith(_ANSWERED)
        if not tells_message(event.record):
            calls.append([event])
            is_ended = True
            continue
        if not calls or (is_ended and not is_choice):
            calls.append([])
        calls[-1].append(event)
        is_ended = is_choice
    return calls


def _nanoseconds(value: object) -> int:
    """Return a time as a whole number: a float has no room for nanoseconds."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0


def _join(events: list[_Event], placed: _Event | None) -> JoinedSpan:
    """Return a span with the events of its call, or, without one, the call that the events tell alone."""
    first, last = events[0].record, events[-1].record
    file, line, span = placed or _Event(events[0].file, events[0].line, {})
    told = [{"name": event.record["name"], "attributes": event.record["attributes"]} for event in events]
    if not tells_message(first):
        about = {**first["attributes"], **span.get("attributes", {})}
        return JoinedSpan(file, line, {**(span or first), "attributes": about})
    if not any(str(event["name"]).endswith(_ANSWERED) for event in told):
        return JoinedSpan(file, line, span or first, "no teacher answer: the events of the call tell none")
    if span:
        return JoinedSpan(file, line, {**span, "events": [*span["events"], *told]})
    plain = {name: value for name, value in first["attributes"].items() if name.startswith(_PREFIX)}
    alone = {"attributes": {**_CHAT, **plain}, "events": told, "endTimeUnixNano": last.get("startTimeUnixNano")}
    return JoinedSpan(file, line, {**first, **alone})
