"""Any record that a log may hold: those of the fixtures, with values changed at random."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from understudies.importers.envelopes import iter_enveloped
from understudies.importers.reader import FAULT, LogReader
from understudies.importers.record_lines import iter_records
from understudies.importers.recorded_call import RecordedCall, SkippedLine

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"
RECORDS = [found[1] for path in sorted(LOGS.iterdir()) for found in iter_records(path) if isinstance(found, tuple)]
_Steps = tuple[str | int, ...]
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=12)
WORDS = st.sampled_from(
    (
        *("role", "content", "type", "text", "parts", "messages", "output", "choices", "message", "error", "status"),
        *("tool_calls", "function", "name", "arguments", "kwargs", "data", "input", "id", "model", "response", "usage"),
        *("candidates", "generations", "toolUse", "functionCall", "lc", "kind", "object"),
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def paths_of(value: Any, path: _Steps = ()) -> Iterator[_Steps]:
    """The paths of all values inside of one."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_of(inner, (*path, key))


def with_value(record: Any, path: _Steps, value: Any) -> Any:
    changed = copy.deepcopy(record)
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return changed


@st.composite
def changed_records(draw: st.DrawFn) -> dict[str, Any]:
    """A record of a fixture in which some values are others."""
    record: dict[str, Any] = draw(st.sampled_from(RECORDS))
    for _ in range(draw(st.integers(1, 3))):
        record = with_value(record, draw(st.sampled_from([*paths_of(record)])), draw(VALUES))
    return record


def found_in(record: Any) -> list[RecordedCall | SkippedLine]:
    reader = LogReader()
    found = [one for inner in iter_enveloped(record) if (one := reader._read(1, inner, tuple(inner))) is not None]
    joined = [reader._build(j.line, j.format, j.read) for j in reader._joins.finish() if j.read is not None]
    found += [one for one in joined if one is not None]
    found += reader._finish_spans()
    assert not [one for one in found if isinstance(one, SkippedLine) and one.reason.startswith(FAULT)]
    return found
