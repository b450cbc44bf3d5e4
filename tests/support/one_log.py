"""Read records as the lines of a log."""

from pathlib import Path
from typing import Any

import orjson

from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog, RecordedCall


def read(tmp_path: Path, *records: Any) -> ParsedLog:
    """Read records that are the lines of a file."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return read_calls(path)


def only(parsed: ParsedLog) -> RecordedCall:
    """Return the call of a log that has one, and nothing that was skipped."""
    assert parsed.skipped == []
    (call,) = parsed.calls
    return call
