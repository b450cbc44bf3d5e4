"""Moments are as they were, to the microsecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from understudies.runtime.moments import Moments

GIVEN = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=-7))),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]


def test_moments_are_as_they_were() -> None:
    moments = Moments(GIVEN)
    assert list(moments) == GIVEN
    assert moments[-1] == GIVEN[-1]
    assert moments[1:3] == GIVEN[1:3]
    assert {moment.tzinfo for moment in moments} == {UTC}
    assert len(Moments([])) == 0


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        Moments([datetime(2026, 1, 1)])  # noqa: DTZ001 - that is what is refused
