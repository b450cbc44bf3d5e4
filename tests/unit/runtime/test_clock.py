"""Time stands still until it is set, and never goes back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from understudies.runtime.clock import SystemClock, VirtualClock

START = datetime(2025, 1, 1, tzinfo=UTC)


def test_the_system_clock_tells_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_a_virtual_clock_moves_only_when_set() -> None:
    clock = VirtualClock(START)
    assert clock.now() == clock.now() == START
    clock.set(START + timedelta(hours=1))
    clock.set(START + timedelta(hours=1))
    assert clock.now() == START + timedelta(hours=1)


def test_a_virtual_clock_never_goes_back() -> None:
    clock = VirtualClock(START)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.set(START - timedelta(microseconds=1))
    assert clock.now() == START


def test_a_virtual_clock_tells_utc_whatever_it_is_given() -> None:
    clock = VirtualClock(datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now().tzinfo is UTC
    assert clock.now() == START
