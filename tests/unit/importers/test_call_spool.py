"""A spooled call is the call that was put, and holds no request or answer in memory."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from tests.support.recorded_calls import recorded_call

from understudies.events import Usage
from understudies.importers.call_spool import CallSpool
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall


def test_each_field_is_as_it_was() -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=2)
    given = replace(recorded_call(usage=usage, cost=Decimal("0.0010"), model="teacher-1"), tags={"team": "a"})
    spooled = CallSpool().put(given)
    for field in fields(RecordedCall):
        assert getattr(spooled, field.name) == getattr(given, field.name), field.name
    assert str(spooled.recorded_cost) == "0.0010"


def test_calls_stay_apart_however_many_there_are_and_in_whatever_order_they_are_read() -> None:
    spool = CallSpool()
    calls = [spool.put(recorded_call(answer=f"answer {place}")) for place in range(300)]
    for place in (299, 0, 150, 0, *range(300)):
        assert calls[place].response.message.text == f"answer {place}"
    calls.append(spool.put(recorded_call(answer="one more")))
    assert [calls[place].response.message.text for place in (300, 7)] == ["one more", "answer 7"]


def test_a_change_keeps_the_rest() -> None:
    at = datetime(2026, 1, 5, tzinfo=UTC)
    given = CallSpool().put(recorded_call(answer="yes", line=3))
    changed = given.with_changes(at=at, task="triage", episode="trip")
    assert (changed.at, changed.task, changed.episode, changed.line) == (at, "triage", "trip", 3)
    assert (changed.response, changed.fingerprint) == (given.response, given.fingerprint)
    assert given.task != "triage"


@pytest.mark.parametrize("episode", [None, "own"])
def test_a_log_is_read_alike_with_a_spool_and_without(tmp_path: Path, episode: str | None) -> None:
    path = tmp_path / "calls.jsonl"
    lines = [
        {
            "messages": [{"role": "user", "content": f"q {k}"}, {"role": "assistant", "content": "a"}],
            "trace_id": f"trace {k // 2}",
            **({"episode": episode} if episode else {}),
        }
        for k in range(6)
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)) + b"\n{\n")
    plain, spooled = read_calls(path), read_calls(path, spool=CallSpool())
    assert (plain.format, plain.skipped, len(plain.calls)) == (spooled.format, spooled.skipped, len(spooled.calls))
    for one, other in zip(plain.calls, spooled.calls, strict=True):
        assert [getattr(one, field.name) for field in fields(RecordedCall)] == [
            getattr(other, field.name) for field in fields(RecordedCall)
        ]
