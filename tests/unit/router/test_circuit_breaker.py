"""A breaker opens when enough fails, waits, and tries one call at a time."""

from collections.abc import Iterable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.router.circuit_breaker import CircuitBreaker
from understudies.runtime.rules.teacher import BreakerSettings

SETTINGS = BreakerSettings(window_s=10.0, min_calls=4, failure_share=0.5, open_s=5.0)


def after(outcomes: str, at: float = 0.0, settings: BreakerSettings = SETTINGS) -> CircuitBreaker:
    """A breaker after calls that went well (.) or failed (x)."""
    breaker = CircuitBreaker(settings)
    for outcome in outcomes:
        tell(breaker, outcome == ".", at)
    return breaker


def tell(breaker: CircuitBreaker, ok: bool | None, at: float) -> None:
    ticket = breaker.acquire(at)
    assert ticket is not None
    breaker.record(ticket, ok, at)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("", "closed"),
        ("xxx", "closed"),
        ("xxxx", "open"),
        ("...x", "closed"),
        ("..xx", "open"),
        ("x.x.", "closed"),
        ("x.x.x", "open"),
        (".....xxxx", "closed"),
        (".....xxxxx", "open"),
    ],
)
def test_it_opens_at_a_share_of_failures_once_there_are_enough_calls(outcomes: str, state: str) -> None:
    assert after(outcomes).state == state


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = after("xxx")
    assert breaker.counts(8.9) == (3, 3)
    assert breaker.counts(10.0) == (0, 0)
    tell(breaker, False, 10.0)
    assert breaker.state == "closed"


def test_while_open_nothing_enters_and_the_wait_is_known() -> None:
    breaker = after("xxxx")
    assert (breaker.acquire(4.9), breaker.wait_s(4.0)) == (None, 1.0)
    assert breaker.wait_s(9.0) == 0.0


def test_after_the_wait_one_call_enters_at_a_time() -> None:
    breaker = after("xxxx")
    assert breaker.acquire(5.0) is not None
    assert (breaker.state, breaker.acquire(5.0), breaker.acquire(9.9)) == ("half_open", None, None)
    assert breaker.acquire(10.0) is not None


def test_a_probe_that_goes_well_closes_it_with_a_clean_window() -> None:
    breaker = after("xxxx")
    tell(breaker, True, 5.0)
    assert (breaker.state, breaker.counts(5.0), breaker.times_opened) == ("closed", (0, 0), 1)


def test_a_probe_that_fails_opens_it_again() -> None:
    breaker = after("xxxx")
    tell(breaker, False, 5.0)
    assert (breaker.state, breaker.acquire(9.9), breaker.times_opened) == ("open", None, 2)


def test_a_probe_of_which_nobody_knows_makes_room_for_another() -> None:
    breaker = after("xxxx")
    tell(breaker, None, 5.0)
    assert breaker.acquire(5.0) is not None


def test_calls_that_began_before_it_opened_say_nothing() -> None:
    breaker = CircuitBreaker(SETTINGS)
    early = breaker.acquire(0.0)
    assert early is not None
    for _ in range(4):
        tell(breaker, False, 1.0)
    for said, at, state in ((True, 2.0, "open"), (True, 6.0, "half_open"), (False, 6.0, "half_open")):
        if state == "half_open":
            breaker.acquire(at)
        breaker.record(early, said, at)
        assert breaker.state == state


def test_failures_after_the_fact_count() -> None:
    breaker = after("....")
    for _ in range(4):
        breaker.record_late_failure(0.0)
    assert breaker.state == "open"
    breaker.record_late_failure(0.0)
    assert breaker.times_opened == 1


Step = tuple[float, Literal["enter", "good", "bad", "gone"]]
steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 3.0, 5.0, 11.0]), st.sampled_from(["enter", "good", "bad", "gone"])),
    max_size=80,
)


@given(steps)
def test_whatever_happens_it_lets_calls_through_again_and_never_opens_on_few(happened: list[Step]) -> None:
    breaker = CircuitBreaker(SETTINGS)
    now = 0.0
    inside: list[int] = []
    since_closed = 0
    for passed, what in happened:
        now += passed
        opened = breaker.times_opened
        was = breaker.state
        if what == "enter":
            ticket = breaker.acquire(now)
            assert ticket is not None or was != "closed"
            inside += [] if ticket is None else [ticket]
        elif inside:
            breaker.record(inside.pop(0), {"good": True, "bad": False, "gone": None}[what], now)
            since_closed += what != "gone"
        if breaker.times_opened > opened and was == "closed":
            assert since_closed >= SETTINGS.min_calls
            since_closed = 0
        calls, failures = breaker.counts(now)
        assert 0 <= failures <= calls
        assert breaker.state == "closed" or calls == 0
    assert CircuitBreaker.acquire(breaker, now + SETTINGS.open_s) is not None


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=60))
def test_it_opens_just_when_a_list_of_all_calls_would_say_so(calls: list[tuple[int, bool]]) -> None:
    """At whole seconds, a window of ten seconds in tenths holds the calls of the last ten seconds exactly."""
    breaker = CircuitBreaker(SETTINGS)
    made: list[tuple[int, bool]] = []
    for at, ok in sorted(calls, key=lambda call: call[0]):
        ticket = breaker.acquire(float(at))
        assert ticket is not None
        breaker.record(ticket, ok, float(at))
        made.append((at, ok))
        if opens(made, at, ok):
            assert breaker.state == "open"
            return
        assert breaker.state == "closed"


def opens(made: Iterable[tuple[int, bool]], now: int, ok: bool) -> bool:
    recent = [went_well for at, went_well in made if now - at < 10]
    failed = recent.count(False)
    return not ok and len(recent) >= SETTINGS.min_calls and failed >= SETTINGS.failure_share * len(recent)
