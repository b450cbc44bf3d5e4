"""What is kept by the ids of calls, beside a dict that keeps the same."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from understudies.backtest.replay import call_map
from understudies.backtest.replay.call_map import CallIds, CallMap
from understudies.events import SeededIds

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def make_ids(count: int, seed: str = "calls") -> list[str]:
    new_id = SeededIds(seed)
    return [new_id(MONDAY + timedelta(milliseconds=number // 3)) for number in range(count)]


def pack(ids: list[str]) -> CallIds:
    return CallIds(b"".join(UUID(one).bytes for one in ids))


def test_an_id_is_found_at_its_place_and_no_other_is() -> None:
    every = make_ids(200)
    ids = pack(every[::2])
    assert [ids[place] for place in range(len(ids))] == every[::2]
    assert [ids.find(UUID(one).bytes) for one in every] == [None if place % 2 else place // 2 for place in range(200)]
    assert [CallIds().find(bytes(16)), ids.find(bytes(16)), ids.find(b"\xff" * 16)] == [None] * 3


def test_ids_that_do_not_ascend_are_refused() -> None:
    first, second = make_ids(2)
    for ids in ([second, first], [first, first]):
        with pytest.raises(ValueError, match="do not ascend"):
            pack(ids)


@pytest.mark.parametrize("shared", [0, 3, 10_000])
def test_it_keeps_what_a_dict_keeps(monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    monkeypatch.setattr(call_map, "_MAX_SHARED", shared)
    rng, known, other = random.Random(1), make_ids(60), make_ids(20, "others")
    found: CallMap[tuple[int, str]] = CallMap(pack(known))
    kept: dict[str, tuple[int, str]] = {}
    for _ in range(2_000):
        name = rng.choice(known + other)
        if rng.random() < 0.3:
            assert found.pop(name, None) == kept.pop(name, None)
        else:
            found[name] = kept[name] = (rng.randrange(7), "some value")
        probe = rng.choice(known + other)
        assert (found.get(probe), probe in found, len(found)) == (kept.get(probe), probe in kept, len(kept))
    assert found == kept
    assert list(found) == [name for name in known if name in kept] + [name for name in kept if name in other]


def test_equal_values_are_one_object() -> None:
    first, second, third = make_ids(3)
    found: CallMap[tuple[str, ...]] = CallMap(pack([first, second]))
    for name in (first, second, third):
        found[name] = (name[:3], "b")
    assert found[first] is found[second] is found[third]


@pytest.mark.parametrize("name", ["call-1", *make_ids(2)])
def test_what_is_not_there_is_missing(name: str) -> None:
    found: CallMap[int] = CallMap(pack(make_ids(1)))
    with pytest.raises(KeyError):
        found[name]
    with pytest.raises(KeyError):
        del found[name]


def test_ids_of_calls_that_are_no_uuids_are_kept_as_they_are() -> None:
    names = [
        "01a22fea-b110-72a6-a0ef-77a49ab80826",
        "call-1",
        "01A22FEA-B110-72A6-A0EF-77A49AB80826",
        "x" * 36,
        "0" * 32,
        "00000000000000000000000000000000----",
    ]
    found: CallMap[int] = CallMap()
    found.update({name: number for number, name in enumerate(names)})
    assert list(found.items()) == [(name, number) for number, name in enumerate(names)]
    assert [found[name] for name in names] == list(range(6))
    del found["call-1"]
    assert ("call-1" in found, found.get("call-1", 7), len(found)) == (False, 7, 5)
