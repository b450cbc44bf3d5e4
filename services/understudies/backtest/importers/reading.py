"""Reads a file of recorded calls, each record in the form that its shape tells."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from understudies.backtest.importers.draft import Draft, call_of
from understudies.backtest.importers.helicone import helicone, is_helicone
from understudies.backtest.importers.invocations import invocation, is_invocation
from understudies.backtest.importers.langfuse import is_langfuse, langfuse
from understudies.backtest.importers.lines import Record, records
from understudies.backtest.importers.litellm import is_litellm, litellm
from understudies.backtest.importers.native import is_native, is_pair, native, pair
from understudies.backtest.importers.openai import (
    batch,
    is_batch,
    is_batch_input,
    is_preference,
    is_stored,
    preference,
    stored,
)
from understudies.backtest.importers.parsing import NotACall
from understudies.backtest.recorded import Broken, Reading, RecordedCall

_FORMS: tuple[tuple[str, Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Draft]], ...] = (
    ("invocations", is_invocation, invocation),
    ("litellm", is_litellm, litellm),
    ("langfuse", is_langfuse, langfuse),
    ("helicone", is_helicone, helicone),
    ("openai", is_stored, stored),
    ("openai-preference", is_preference, preference),
    ("native", is_native, native),
    ("prompt-completion", is_pair, pair),
)


def read_calls(path: str | Path) -> Reading:
    """The recorded calls of a file, and the lines that hold none; raises OSError where it cannot be opened."""
    reading, forms = Reading(), Counter[str]()
    batches: list[Record] = []
    for record in records(Path(path)):
        if isinstance(record, Broken):
            reading.broken.append(record)
        elif is_batch(record[1]):
            batches.append(record)
        else:
            _read(record, reading, forms)
    _read_batches(batches, reading, forms)
    reading.calls = _with_traces(reading.calls)
    reading.broken.sort(key=lambda broken: broken.line)
    reading.format = "+".join(name for name, _ in forms.most_common()) or "empty"
    return reading


def _read(record: Record, reading: Reading, forms: Counter[str]) -> None:
    for name, recognises, draft in _FORMS:
        if recognises(record[1]):
            _keep(record, name, draft, reading, forms)
            return
    reading.broken.append(Broken(record[0], "no known form of a recorded call: it has no messages"))


def _keep(
    record: Record, name: str, draft: Callable[[Mapping[str, Any]], Draft], reading: Reading, forms: Counter[str]
) -> None:
    line, value = record
    try:
        reading.calls.append(call_of(draft(value), line))
        forms[name] += 1
    except NotACall as error:
        reading.broken.append(Broken(line, str(error)))
    except (RecursionError, orjson.JSONEncodeError):
        reading.broken.append(Broken(line, "nested too deeply"))
    except ValidationError as error:
        reading.broken.append(Broken(line, _reason(error)))


def _with_traces(calls: list[RecordedCall]) -> list[RecordedCall]:
    """The calls, those without an episode in that of the trace that they share with others."""
    shared = Counter(call.trace for call in calls)
    return [
        replace(call, episode=call.trace) if call.episode is None and shared[call.trace] > 1 else call for call in calls
    ]


def _reason(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    if "depth" in problem["msg"]:
        return "nested too deeply"
    return f"{'.'.join(str(part) for part in problem['loc'][:4])}: {problem['msg']}"


def _read_batches(batches: list[Record], reading: Reading, forms: Counter[str]) -> None:
    """Answers of a batch may come before or after their requests, so they are joined at the end."""
    inputs = {str(record["custom_id"]): record["body"] for _, record in batches if is_batch_input(record)}
    answered = {str(record["custom_id"]) for _, record in batches if not is_batch_input(record)}
    for line, record in batches:
        if not is_batch_input(record):
            _keep((line, record), "openai-batch", lambda value: batch(value, inputs), reading, forms)
        elif str(record["custom_id"]) not in answered:
            reading.broken.append(Broken(line, "no teacher answer"))
