"""The invocations of a log are the same at every import."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.call_logs import START, build_record, task_entries, write_log

from understudies.events import Invocation, Templates
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall
from understudies.warm_start.recorded_log import PreparedLog, batches, prepare_log

NOW = START + timedelta(days=3)


def in_order(calls: Sequence[RecordedCall]) -> list[tuple[datetime, RecordedCall]]:
    """Each call at its own time; those without any an hour before now."""
    timed = [(call.at or NOW - timedelta(hours=1), call) for call in calls]
    return sorted(timed, key=lambda one: one[0])


def prepared(path: Path, **options: Any) -> PreparedLog:
    return prepare_log(read_calls(path).calls, in_order, options.pop("now", NOW), **options)


def records(path: Path, *entries: dict[str, Any]) -> Path:
    return write_log(path, ((START, entry) for entry in entries))


def test_the_same_log_gives_the_same_calls_and_equal_lines_are_calls_of_their_own(tmp_path: Path) -> None:
    same = build_record("triage", "Where is it?", "delivery", START)
    path = records(tmp_path / "log.jsonl", same, same, {**same, "task": "other"})
    first, again = prepared(path).invocations, prepared(path, now=NOW + timedelta(days=9)).invocations
    assert first == again
    assert len({call.id for call in first}) == 3
    assert {call.origin for call in first} == {"imported"}
    assert [call.training_only for call in first] == [False] * 3


def test_the_id_of_a_call_without_a_time_does_not_depend_on_the_time_it_is_given(tmp_path: Path) -> None:
    path = records(tmp_path / "log.jsonl", build_record("triage", "Where is it?", "delivery"))
    log = prepared(path)
    later = prepare_log(read_calls(path).calls, lambda calls: [(NOW, call) for call in calls], NOW)
    (one,), (other,) = log.invocations, later.invocations
    assert log.undated == 1
    assert (one.id, one.training_only) == (other.id, True)
    assert one.at != other.at


def test_a_time_ahead_of_the_clock_is_none(tmp_path: Path) -> None:
    ahead = build_record("triage", "Where is it?", "delivery", NOW + timedelta(hours=1))
    log = prepared(records(tmp_path / "log.jsonl", ahead))
    assert log.undated == 1
    assert log.invocations[0].at < NOW
    assert log.invocations[0].training_only


def test_calls_without_a_name_get_the_task_that_a_router_finds(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.jsonl", task_entries(None, 20, days=1))
    calls = prepared(path).invocations
    templates = Templates()
    assert [call.task for call in calls] == [templates.task_of(call.request) for call in calls]


def test_the_price_is_as_given_else_as_recorded_else_unknown(tmp_path: Path) -> None:
    path = records(
        tmp_path / "log.jsonl",
        build_record("triage", "a", "b", START, cost_usd=0.25),
        build_record("triage", "c", "d", START),
    )
    assert [(call.cost_usd, call.priced) for call in prepared(path).invocations] == [
        (Decimal("0.25"), True),
        (Decimal(0), False),
    ]
    given = prepared(path, teacher_price=Decimal("0.01")).invocations
    assert [call.cost_usd for call in given] == [Decimal("0.01")] * 2
    assert all(call.free for call in prepared(path, teacher_price=Decimal(0)).invocations)


def test_a_batch_ends_at_its_calls_and_at_its_bytes(tmp_path: Path) -> None:
    calls = prepared(write_log(tmp_path / "log.jsonl", task_entries("triage", 7, days=1))).invocations
    sizes = [len(batch) for batch in batches(calls, 3, 10**6)]
    assert sizes == [3, 3, 1]
    alone = list(batches(calls, 3, 1))
    assert [len(batch) for batch in alone] == [1] * 7
    assert [Invocation.model_validate_json(batch[0]) for batch in alone] == calls
    assert NOW.tzinfo is UTC
