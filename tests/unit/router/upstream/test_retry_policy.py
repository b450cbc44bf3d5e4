"""What is tried again, and after which wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.router.upstream.retry_policy import backoff_s, delay_s, is_retriable, retry_after_s
from understudies.runtime.rules.teacher import RetrySettings

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_mend_is_tried_again(status: int) -> None:
    assert is_retriable(status, {})
    assert not is_retriable(status, {"x-should-retry": "false"})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 501])
def test_what_cannot_mend_is_not(status: int) -> None:
    assert not is_retriable(status, {})
    assert is_retriable(status, {"x-should-retry": "true"})


def test_money_that_is_spent_does_not_come_back() -> None:
    assert not is_retriable(429, {}, "insufficient_quota")
    assert is_retriable(429, {}, "rate_limit_exceeded")


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "7", "retry-after-ms": "moo"}, 7.0),
        ({"retry-after": date(30)}, 30.0),
        ({"retry-after": date(-30)}, 0.0),
        ({"retry-after": date(30), "date": date(20)}, 10.0),
        ({"retry-after": date(30), "date": "moo"}, 30.0),
        ({"retry-after": "moo"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Mon, 02 Mar 2026 12:00:30"}, None),
        ({"retry-after": "Mon, 99 Mar 2026 12:00:30 GMT"}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after_s(headers, NOW) == wait


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_it(after: str, sent: str) -> None:
    wait = retry_after_s({"retry-after": after, "date": sent, "retry-after-ms": sent}, NOW)
    assert wait is None or wait >= 0


@given(st.integers(0, 10_000), draws, st.floats(0.001, 10), st.floats(0.001, 100))
def test_backoff_doubles_up_to_its_limit(attempt: int, draw: float, base: float, longest: float) -> None:
    retries = RetrySettings(base_s=base, longest_s=longest)
    wait = backoff_s(attempt, draw, retries)
    assert 0 <= wait <= min(longest, base * 2 ** min(attempt, 60))
    assert backoff_s(attempt, 0.0, retries) == 0
    if attempt <= 60 and base * 2**attempt <= longest:
        assert wait == pytest.approx(draw * base * 2**attempt)


@given(
    st.integers(0, 30),
    st.one_of(st.none(), st.floats(0, 100).map(str)),
    draws,
    st.floats(-10, 100),
    st.integers(0, 20),
    st.floats(0, 50),
)
def test_a_pause_keeps_every_promise(
    attempt: int, after: str | None, draw: float, left: float, most: int, patience: float
) -> None:
    retries = RetrySettings(max=most, patience_s=patience)
    headers = {} if after is None else {"retry-after": after}
    wait = delay_s(attempt, headers, retries, draw=draw, left_s=left, now=NOW)
    if wait is None:
        impatient = after is not None and float(after) > patience
        longest = max(float(after or 0) + retries.base_s, retries.longest_s)
        assert attempt >= most or impatient or left <= longest
    else:
        assert attempt < most
        assert 0 <= wait < left
        assert after is None or float(after) <= wait <= max(float(after) + retries.base_s, retries.longest_s)
