"""Read a file of recorded calls, detecting the format of each record by its shape."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from understudies.backtest.importers.helicone import is_helicone, read_helicone
from understudies.backtest.importers.invocations import is_invocation, read_invocation
from understudies.backtest.importers.json_parsing import NotARecordedCall
from understudies.backtest.importers.langfuse import is_langfuse, read_langfuse
from understudies.backtest.importers.litellm import is_litellm, read_litellm
from understudies.backtest.importers.native import is_native, is_pair, read_native, read_pair
from understudies.backtest.importers.openai import (
    is_batch,
    is_batch_input,
    is_preference,
    is_stored,
    read_batch,
    read_preference,
    read_stored,
)
from understudies.backtest.importers.partial_call import PartialCall, build_recorded_call
from understudies.backtest.importers.record_lines import NumberedRecord, iter_records
from understudies.backtest.recorded_call import ParsedLog, RecordedCall, SkippedLine

_FORMATS: tuple[tuple[str, Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], PartialCall]], ...] = (
    ("invocations", is_invocation, read_invocation),
    ("litellm", is_litellm, read_litellm),
    ("langfuse", is_langfuse, read_langfuse),
    ("helicone", is_helicone, read_helicone),
    ("openai", is_stored, read_stored),
    ("openai-preference", is_preference, read_preference),
    ("native", is_native, read_native),
    ("prompt-completion", is_pair, read_pair),
)

_TOO_DEEP: Final = re.compile("depth|nested deeper|recursion")
"""Matches the error messages of JSON parsers and writers for values that are nested too deeply."""
_MAX_REASON: Final = 200


def read_calls(path: str | Path) -> ParsedLog:
    """Read the recorded calls of a file, and list the lines without one; raises OSError if it cannot be opened."""
    reading, forms = ParsedLog(), Counter[str]()
    batches: list[NumberedRecord] = []
    for record in iter_records(Path(path)):
        if isinstance(record, SkippedLine):
            reading.skipped.append(record)
        elif is_batch(record[1]):
            batches.append(record)
        else:
            _read_record(record, reading, forms)
    _read_batches(batches, reading, forms)
    reading.calls = _assign_episodes_from_traces(reading.calls)
    reading.skipped.sort(key=lambda broken: broken.line)
    reading.format = "+".join(name for name, _ in forms.most_common()) or "empty"
    return reading


def _read_record(record: NumberedRecord, reading: ParsedLog, forms: Counter[str]) -> None:
    for name, recognises, draft in _FORMATS:
        if recognises(record[1]):
            _add_call(record, name, draft, reading, forms)
            return
    reading.skipped.append(SkippedLine(record[0], "no known form of a recorded call: it has no messages"))


def _add_call(
    record: NumberedRecord,
    name: str,
    read_partial: Callable[[Mapping[str, Any]], PartialCall],
    reading: ParsedLog,
    forms: Counter[str],
) -> None:
    line, value = record
    try:
        reading.calls.append(build_recorded_call(read_partial(value), line))
        forms[name] += 1
    except NotARecordedCall as error:
        reading.skipped.append(SkippedLine(line, str(error)))
    except RecursionError:
        reading.skipped.append(SkippedLine(line, "nested too deeply"))
    except ValidationError as error:
        reading.skipped.append(SkippedLine(line, _validation_reason(error)))
    except ValueError as error:
        reading.skipped.append(SkippedLine(line, _decoding_reason(error)))


def _assign_episodes_from_traces(calls: list[RecordedCall]) -> list[RecordedCall]:
    """Assign calls without an episode to their trace as the episode if other calls share that trace."""
    shared = Counter(call.trace for call in calls)
    return [
        replace(call, episode=call.trace) if call.episode is None and shared[call.trace] > 1 else call for call in calls
    ]


def _validation_reason(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    if _TOO_DEEP.search(problem["msg"]):
        return "nested too deeply"
    return f"{'.'.join(str(part) for part in problem['loc'][:4])}: {problem['msg']}"


def _decoding_reason(error: ValueError) -> str:
    reason = str(error)
    return "nested too deeply" if _TOO_DEEP.search(reason) else reason[:_MAX_REASON]


def _read_batches(batches: list[NumberedRecord], reading: ParsedLog, forms: Counter[str]) -> None:
    """Read the lines of batches after all others, as an answer may come before or after its request in the file."""
    inputs = {str(record["custom_id"]): record["body"] for _, record in batches if is_batch_input(record)}
    answered = {str(record["custom_id"]) for _, record in batches if not is_batch_input(record)}
    for line, record in batches:
        if not is_batch_input(record):
            _add_call((line, record), "openai-batch", lambda value: read_batch(value, inputs), reading, forms)
        elif str(record["custom_id"]) not in answered:
            reading.skipped.append(SkippedLine(line, "no teacher answer"))
