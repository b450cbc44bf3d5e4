"""Which headers travel, and whose key."""

from typing import Any

import pytest
from tests.support.upstream import table

from understudies.router.upstream.headers import (
    forwarded_request_headers,
    forwarded_response_headers,
    response_headers,
    teacher_headers,
)
from understudies.runtime.rules.teacher import TeacherSpec

CALLERS = {
    "authorization": "Bearer callers",
    "x-api-key": "callers",
    "api-key": "callers",
    "cookie": "callers",
    "openai-organization": "org-callers",
    "anthropic-version": "2023-06-01",
}


def spec(**fields: Any) -> TeacherSpec:
    return table(one={"base_url": "http://127.0.0.1:1/v1", **fields})["one"]


@pytest.mark.parametrize("auth", ["by_api", "bearer", "x-api-key"])
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_nothing_of_the_callers_goes_to_a_teacher_with_its_own_key(auth: str, api: Any) -> None:
    headers = teacher_headers(spec(auth=auth, api_key="own"), api, CALLERS)
    assert "callers" not in str(headers)
    assert "own" in str(headers)
    assert headers["anthropic-version"] == "2023-06-01"


def test_a_key_that_is_named_but_not_read_yet_is_no_reason_to_send_the_callers() -> None:
    assert teacher_headers(spec(api_key_env="KEY"), "chat", CALLERS) == {"anthropic-version": "2023-06-01"}


def test_a_teacher_without_a_key_gets_none() -> None:
    assert teacher_headers(spec(auth="none", api_key="own"), "chat", CALLERS) == {"anthropic-version": "2023-06-01"}


def test_the_callers_key_passes_on_where_it_is_meant_to() -> None:
    passed = teacher_headers(spec(), "messages", CALLERS)
    assert {name for name in passed if "callers" in passed[name]} == {
        "authorization",
        "x-api-key",
        "openai-organization",
    }
    styled = teacher_headers(spec(auth="bearer"), "messages", {"x-api-key": "callers"})
    assert styled == {"authorization": "Bearer callers"}
    assert teacher_headers(spec(auth="bearer"), "messages", {}) == {}


def test_what_is_told_of_an_answer() -> None:
    named = ["x-request-id", "request-id", "openai-version", "anthropic-ratelimit-tokens-remaining", "retry-after-ms"]
    other = ["set-cookie", "server", "x-internal", "content-length", "content-encoding", "transfer-encoding"]
    assert list(response_headers([(name, "1") for name in named + other])) == named


def test_headers_of_a_connection_end_with_it() -> None:
    assert (
        forwarded_request_headers(
            {"Connection": "Keep-Alive, X-Once", "X-ONCE": "1", "Upgrade": "h2c", "X-Real-IP": "1"}
        )
        == {}
    )
    assert forwarded_response_headers(
        [("connection", "x-once"), ("x-once", "1"), ("transfer-encoding", "chunked"), ("x", "1")]
    ) == [("x", "1")]


def test_a_header_that_comes_twice_goes_back_twice() -> None:
    assert forwarded_response_headers([("vary", "a"), ("vary", "b"), ("set-cookie", "c")]) == [
        ("vary", "a"),
        ("vary", "b"),
    ]
