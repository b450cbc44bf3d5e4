"""What an attempt that failed means."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.upstream import table

from understudies.router.upstream.failures import failure_from_status

SPEC = table(one={"base_url": "http://127.0.0.1:1/v1"})["one"]
JSON = [("content-type", "application/json"), ("x-request-id", "r1"), ("server", "s")]


def body(**error: Any) -> bytes:
    return orjson.dumps({"error": error})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, "context_length_exceeded"),
        ({"code": None, "type": "overloaded_error"}, "overloaded_error"),
        ({"code": 429, "type": "rate_limit"}, "rate_limit"),
        ({"code": "you asked: my card is gone"}, "teacher_error"),
        ({}, "teacher_error"),
    ],
)
def test_a_code_is_a_word_and_never_a_text(error: dict[str, Any], code: str) -> None:
    assert failure_from_status(400, JSON, body(**error), SPEC).error.code == code


def test_a_body_that_is_json_is_the_callers_to_read() -> None:
    error = failure_from_status(400, JSON, raw := body(message="no"), SPEC).error
    assert (error.raw, error.message) == (raw, "no")
    assert error.headers == {"content-type": "application/json", "x-request-id": "r1"}


def test_an_error_in_a_list_is_the_callers_to_read() -> None:
    raw = orjson.dumps([{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}])
    error = failure_from_status(429, JSON, raw, SPEC).error
    assert (error.raw, error.message, error.code) == (raw, "Quota exceeded.", "teacher_error")


def test_another_body_is_told_in_short() -> None:
    error = failure_from_status(503, JSON, b"<html>" + b"x" * 10_000, SPEC).error
    assert (error.raw, len(error.message), error.headers) == (None, 500, {"x-request-id": "r1"})
    assert failure_from_status(503, JSON, b"", SPEC).error.message == "no message"


@given(st.integers(300, 999), st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(orjson.dumps))
def test_no_answer_breaks_it(status: int, raw: bytes) -> None:
    failed = failure_from_status(status, JSON, raw, SPEC)
    assert failed.error.status >= 400
    assert failed.failover or not failed.retry


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://key:secret@api.example.org:8443/v2/chat?token=secret#x", "https://api.example.org:8443/v2/chat"),
        ("/v1/chat/completions/", "/v1/chat/completions/"),
        ("https://[broken", ""),
        ("", ""),
    ],
)
def test_a_redirect_is_told_with_its_remedy_and_without_secrets(location: str, shown: str) -> None:
    error = failure_from_status(308, [("location", location)], b"", SPEC).error
    remedy = f", a redirect to {shown}; name what answers as the teacher's base_url" if shown else ""
    assert (error.status, error.message) == (502, f"the teacher answered 308, which is no answer{remedy}")
    assert failure_from_status(304, [("location", location)], b"", SPEC).error.message.endswith("no answer")
