import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from understudies.events import SeededIds, derived_id, new_id

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@given(MOMENTS)
def test_an_id_is_a_version_7_uuid_of_its_millisecond(at: datetime) -> None:
    for made in (new_id(at), SeededIds(1)(at)):
        parsed = uuid.UUID(made)
        assert str(parsed) == made
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        assert parsed.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(MOMENTS, st.integers(1, 10**9))
def test_ids_sort_by_time(at: datetime, milliseconds: int) -> None:
    later = at + timedelta(milliseconds=milliseconds)
    assert new_id(at) < new_id(later)
    assert SeededIds(5)(at) < SeededIds(3)(later)


def test_ids_of_one_moment_sort_by_creation() -> None:
    seeded = SeededIds("seed")
    for make in (new_id, seeded):
        made = [make(NOW) for _ in range(1000)]
        assert made == sorted(made)
        assert len(set(made)) == 1000


@given(st.integers() | st.text(), st.lists(MOMENTS, min_size=1, max_size=20))
def test_the_same_seed_and_calls_give_the_same_ids(seed: int | str, moments: list[datetime]) -> None:
    one, other = SeededIds(seed), SeededIds(seed)
    assert [one(at) for at in moments] == [other(at) for at in moments]


def test_different_seeds_give_different_ids() -> None:
    assert len({SeededIds(seed)(NOW) for seed in range(1000)}) == 1000


def test_threads_never_share_an_id() -> None:
    seeded = SeededIds(7)
    with ThreadPoolExecutor(8) as pool:
        for make in (new_id, seeded):
            made = list(pool.map(lambda _, make=make: make(NOW), range(4000)))
            assert len(set(made)) == 4000


def test_an_id_derived_from_a_key_is_always_the_same() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    first = derived_id(at, "trace/span")
    assert first == derived_id(at, "trace/span")
    assert uuid.UUID(first).version == 7
    assert first != derived_id(at, "trace/another")
    assert first < derived_id(at + timedelta(milliseconds=1), "trace/span")
