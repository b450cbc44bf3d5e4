"""A spooled call is the call that was put, and holds no request or answer in memory."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from tests.support.recorded_calls import recorded_call

from understudies.events import Usage
from understudies.importers.call_spool import CallSpool, SpooledCalls, pack_calls
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall


def test_each_field_is_as_it_was() -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=2)
    given = replace(recorded_call(usage=usage, cost=Decimal("0.0010"), model="teacher-1"), tags={"team": "a"})
    spooled = CallSpool().put(given)
    for field in fields(RecordedCall):
        assert getattr(spooled, field.name) == getattr(given, field.name), field.name
    assert str(spooled.recorded_cost) == "0.0010"


def test_zero_tokens_that_a_log_states_stay_apart_from_none() -> None:
    spool = CallSpool()
    stated, unknown = (spool.put(recorded_call(usage=usage)) for usage in (Usage(prompt_tokens=0), Usage()))
    for calls in ([stated, unknown], pack_calls([stated, unknown])):
        assert [call.usage.model_dump(exclude_unset=True) for call in calls] == [{"prompt_tokens": 0}, {}]
    assert unknown.with_changes(at=None, task="triage", episode=None).usage == Usage()


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


def _fields(call: RecordedCall) -> list[object]:
    return [getattr(call, field.name) for field in fields(RecordedCall)]


def test_packed_calls_are_as_they_were() -> None:
    spool, east = CallSpool(), timezone(timedelta(hours=2))
    given = [
        recorded_call(answer="yes", line=3),
        replace(recorded_call(asked="other", task="triage", model="teacher-2"), episode="trip"),
        replace(recorded_call(line=2**40), at=datetime(2026, 1, 5, 1, 2, 3, 456789, tzinfo=east), critical=True),
        replace(recorded_call(), at=None, trace="t-1"),
        replace(recorded_call(), at=datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ]
    packed = pack_calls([spool.put(call) for call in given])
    assert isinstance(packed, SpooledCalls)
    assert list(map(_fields, packed)) == list(map(_fields, given))
    assert _fields(packed[-1]) == _fields(given[-1])
    assert list(map(_fields, packed[1:3])) == list(map(_fields, given[1:3]))
    with pytest.raises(IndexError):
        packed[len(given)]
    assert list(pack_calls([])) == []


def test_calls_in_memory_are_left_as_they_are() -> None:
    mixed = [recorded_call(), CallSpool().put(recorded_call())]
    assert pack_calls(mixed) is mixed


def test_calls_of_two_spools_are_not_packed() -> None:
    with pytest.raises(ValueError, match="2 spools"):
        SpooledCalls([CallSpool().put(recorded_call()), CallSpool().put(recorded_call())])


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
