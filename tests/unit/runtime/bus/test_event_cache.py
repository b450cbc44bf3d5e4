"""The services of one process decode each event once; what is kept for that is bounded."""

import pytest
from tests.support.recording import event

from understudies.events import INVOCATIONS, encode
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.memory_bus import MemoryTopics
from understudies.runtime.bus.messages import BusMessage, EventCache, Record


async def read_records(values: list[bytes]) -> list[Record]:
    """What a service reads from topics in memory."""
    topics = MemoryTopics()
    reader = object()
    topics.join(reader, [INVOCATIONS.name])
    for value in values:
        topics.append(BusMessage(INVOCATIONS.name, value, b"triage"))
    records, _ = await topics.read(reader, 100)
    return records


async def test_what_one_service_decoded_the_next_one_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    records = await read_records([encode(event(number)) for number in range(3)])
    first, _ = decode_records(records)
    monkeypatch.setattr(type(INVOCATIONS), "decode", None)
    second, invalid = decode_records(records)
    assert [one is other for (_, one), (_, other) in zip(first, second, strict=True)] == [True] * 3
    assert [found.id for _, found in second] == [event(number).id for number in range(3)]
    assert invalid == []


async def test_what_cannot_be_decoded_is_told_to_each() -> None:
    records = await read_records([b"{", encode(event(1))])
    for _ in range(2):
        decoded, invalid = decode_records(records)
        assert ([one.id for _, one in decoded], len(invalid)) == ([event(1).id], 1)


def test_records_of_a_broker_keep_no_event() -> None:
    record = Record("invocations", 0, 0, None, encode(event(1)))
    assert decode_records([record])[0][0][1] is not decode_records([record])[0][0][1]


@pytest.mark.parametrize(("limits", "kept"), [({"capacity": 2}, [2, 3]), ({"capacity_bytes": 25}, [2, 3])])
def test_the_oldest_events_go_first(limits: dict[str, int], kept: list[int]) -> None:
    cache = EventCache(**limits)
    records = [Record("invocations", 0, number, None, b"ten bytes.") for number in range(4)]
    for record in records:
        cache.put(record, event(record.offset))
    assert [record.offset for record in records if cache.get(record) is not None] == kept
    assert len(cache) == 2


def test_an_event_above_the_limit_is_not_kept() -> None:
    cache, record = EventCache(capacity_bytes=5), Record("invocations", 0, 0, None, b"ten bytes.")
    cache.put(record, event(1))
    assert (cache.get(record), len(cache)) == (None, 0)
    cache.put(Record("invocations", 0, 1, None, b"five."), event(1))
    assert len(cache) == 1
