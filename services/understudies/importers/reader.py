"""Read recorded calls from files, detecting the format of each record by its shape."""

import logging
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from understudies.importers.call_spool import CallSpool
from understudies.importers.envelopes import iter_enveloped, may_hold_records
from understudies.importers.field_map import FieldMap
from understudies.importers.formats import possible_formats
from understudies.importers.joins import Joins, may_join
from understudies.importers.json_parsing import FailedCall, NotARecordedCall, WithoutContent
from understudies.importers.known_fields import describe_unknown
from understudies.importers.nesting import SpanTree, read_link
from understudies.importers.otlp import LOG_RECORD
from understudies.importers.partial_call import PartialCall, build_recorded_call
from understudies.importers.record_lines import iter_records
from understudies.importers.recorded_call import ParsedLog, RecordedCall, SkippedLine
from understudies.importers.repeats import find_repeats, record_key
from understudies.importers.sources import find_files
from understudies.importers.span_logs import SpanLogs, is_event_of_call, tells_message
from understudies.importers.spans import read_span
from understudies.runtime.garbage import paused_garbage_collection

FAULT: Final = "a fault of the reader, worth a report"
"""Begins the reason of a record that is skipped for no fault of its own."""

_FAULTS: Final = (ArithmeticError, AttributeError, LookupError, TypeError)
_TOO_DEEP: Final = re.compile("depth|nested deeper|recursion")
"""Matches the error messages of JSON parsers and writers for values that are nested too deeply."""
_MAX_REASON: Final = 400
_log = logging.getLogger(__name__)


def read_calls(source: str | Path, field_map: FieldMap | None = None, *, spool: CallSpool | None = None) -> ParsedLog:
    """Read the recorded calls of a file, a folder or the files that match a pattern, and list the lines without one.

    `field_map` says where the fields of a call are in records of another form. With a `spool`, requests and answers are
    kept there instead of in memory. Raises OSError if nothing can be opened.
    """
    spans = SpanTree()
    reader = LogReader(field_map, spans)
    parsed = ParsedLog()
    keys = array("q")
    with paused_garbage_collection():
        for found in reader.iter_source(Path(source)):
            if isinstance(found, SkippedLine):
                parsed.skipped.append(found)
            else:
                spans.place_call(len(parsed.calls))
                keys.append(reader.latest_key)
                parsed.calls.append(found if spool is None else spool.put(found))
    left_out = dict.fromkeys(find_repeats(parsed.calls, keys), "the same call again: its record is in the log twice")
    left_out |= dict.fromkeys(spans.outer_calls(), "a call around other calls of the log, which count in its place")
    parsed.skipped += [SkippedLine(parsed.calls[place].line, left_out[place]) for place in sorted(left_out)]
    kept = [call for place, call in enumerate(parsed.calls) if place not in left_out]
    parsed.calls = _assign_episodes_from_traces(kept)
    parsed.skipped.sort(key=lambda skipped: (skipped.file or "", skipped.line))
    parsed.format = "+".join(name for name, _ in reader.formats.most_common()) or "empty"
    return parsed


def iter_calls(source: str | Path, field_map: FieldMap | None = None) -> Iterator[RecordedCall | SkippedLine]:
    """Yield the recorded calls and the lines without one as they are read, with memory that does not grow by the line.

    Calls around others and repeated records are not dropped, and traces give no episodes: these need the whole log.
    """
    return LogReader(field_map).iter_source(Path(source))


class LogReader:
    """Reads records one by one; `formats` counts the calls by format, and `spans` takes the nesting of what is read.

    `latest_key` is the id of the latest call's record, as a number.
    """

    def __init__(self, field_map: FieldMap | None = None, spans: SpanTree | None = None) -> None:
        self.formats: Counter[str] = Counter()
        self.latest_key = 0
        self._field_map = field_map
        self._spans = spans
        self._joins = Joins()
        self._span_logs: SpanLogs | None = SpanLogs()

    def iter_source(self, source: Path) -> Iterator[RecordedCall | SkippedLine]:
        """Yield what the files of a source hold; raises OSError if one cannot be opened."""
        files = find_files(source)
        if len(files) == 1:
            yield from self._iter_file(files[0])
        else:
            for file in files:
                name = str(file.relative_to(source) if source.is_dir() else file)
                if self._span_logs is not None:
                    self._span_logs.file = name
                for found in self._iter_file(file):
                    yield replace(found, file=name) if isinstance(found, SkippedLine) else found
        for joined in self._joins.finish():
            if joined.read is None:
                yield SkippedLine(joined.line, "no teacher answer")
            elif (built := self._build(joined.line, joined.format, joined.read)) is not None:
                yield built
        yield from self._finish_spans()

    def _finish_spans(self) -> Iterator[RecordedCall | SkippedLine]:
        """Yield the calls whose parts are in several records, as spans and logs."""
        waiting, self._span_logs = self._span_logs, None
        for joined in waiting.finish(self._spans.calls if self._spans else {}) if waiting else ():
            if joined.reason is not None:
                yield SkippedLine(joined.line, joined.reason, joined.file)
                continue
            found = self._build(joined.line, "spans", read_span, joined.record)
            if self._spans is not None and isinstance(found, SkippedLine):
                self._spans.add_span(*read_link(joined.record))
            if found is not None:
                yield replace(found, file=joined.file) if isinstance(found, SkippedLine) else found

    def _iter_file(self, file: Path) -> Iterator[RecordedCall | SkippedLine]:
        for numbered in iter_records(file):
            if isinstance(numbered, SkippedLine):
                yield numbered
                continue
            line, record = numbered
            names = tuple(record)
            found_any = False
            try:
                if not may_hold_records(names):
                    if (found := self._read(line, record, names)) is not None:
                        yield found
                    continue
                for inner in iter_enveloped(record):
                    found_any = True
                    if (found := self._read(line, inner, tuple(inner))) is not None:
                        yield found
            except RecursionError:
                yield SkippedLine(line, "nested too deeply")
                continue
            except _FAULTS as error:
                yield _fault(line, error)
                continue
            if not found_any:
                yield SkippedLine(line, describe_unknown(record))

    def _read(self, line: int, record: dict[str, Any], names: tuple[str, ...]) -> RecordedCall | SkippedLine | None:
        """Read a record, whose fields have these names: they tell most of what there is to try."""
        if self._field_map is not None:
            field_map = self._field_map
            return self._build(line, "mapped", field_map.read, record)
        if may_join(names):
            joined = self._joins.add(line, record)
            if joined is None:
                return None
            if not isinstance(joined, bool):
                return self._build(line, joined.format, joined.read) if joined.read else None
        if LOG_RECORD in record and self._span_logs is not None:
            if not is_event_of_call(record):
                return SkippedLine(line, "a log record that tells no call of a model")
            if self._span_logs.add_event(line, record):
                return None
            if tells_message(record):
                return SkippedLine(
                    line, "a message of a call without the ids of its span, which tell what belongs to it"
                )
        for form in possible_formats(names):
            if form.recognises(record):
                found = self._build(line, form.name, form.read, record)
                if form.is_nested and self._spans is not None and isinstance(found, SkippedLine):
                    self._spans.add_span(*read_link(record))
                return found
        return SkippedLine(line, describe_unknown(record))

    def _build(
        self, line: int, form: str, read: Callable[..., PartialCall], *record: Mapping[str, Any]
    ) -> RecordedCall | SkippedLine | None:
        try:
            draft = read(*record)
            call = build_recorded_call(draft, line)
        except WithoutContent as error:
            waits = self._span_logs is not None and self._span_logs.add_span(line, *record)
            return None if waits else SkippedLine(line, str(error))
        except NotARecordedCall as error:
            if self._span_logs is not None and form == "spans" and isinstance(error, FailedCall):
                self._span_logs.add_failed(*record)
            return SkippedLine(line, str(error))
        except RecursionError:
            return SkippedLine(line, "nested too deeply")
        except ValidationError as error:
            return SkippedLine(line, _validation_reason(error))
        except ValueError as error:
            return SkippedLine(line, _decoding_reason(error))
        except _FAULTS as error:
            return _fault(line, error)
        self.formats[form] += 1
        self.latest_key = record_key(record[0], draft.span) if record else 0
        if self._spans is not None:
            self._spans.add_call(draft)
        return call


def _fault(line: int, error: Exception) -> SkippedLine:
    """Skip a record on which a reader failed: one record that nobody foresaw is not to end an import of millions."""
    _log.warning("line %d could not be read", line, exc_info=error)
    return SkippedLine(line, f"{FAULT}: {type(error).__name__}")


def _assign_episodes_from_traces(calls: list[RecordedCall]) -> list[RecordedCall]:
    """Assign calls without an episode to their trace as the episode if other calls share that trace."""
    shared = Counter(call.trace for call in calls)
    return [
        call.with_changes(at=call.at, task=call.task, episode=call.trace)
        if call.episode is None and shared[call.trace] > 1
        else call
        for call in calls
    ]


def _validation_reason(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    if _TOO_DEEP.search(problem["msg"]):
        return "nested too deeply"
    return f"{'.'.join(str(part) for part in problem['loc'][:4])}: {problem['msg']}"


def _decoding_reason(error: ValueError) -> str:
    reason = str(error)
    return "nested too deeply" if _TOO_DEEP.search(reason) else reason[:_MAX_REASON]
