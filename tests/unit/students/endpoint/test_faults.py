"""Whatever an endpoint does, a student answers or raises StudentError within its time-out."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.student_server import BROKEN, Behavior, StudentServer, student_server

from understudies.students.base import ConfidenceTooLow, StudentError
from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPool
from understudies.students.endpoint.settings import Endpoint

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "my secret prompt"}]}
FOREVER: frozenset[Behavior] = frozenset({"hang", "drip", "drip_stream"})
WHY: dict[Behavior, str] = {
    "cut_json": "not a chat completion",
    "cut_stream": "it was truncated",
    "drip": r"no answer within 0\.05 s",
    "drip_stream": r"no answer within 0\.05 s",
    "drop": "is unavailable, or the connection broke",
    "error_event": "reports an error",
    "error_line": "reports an error",
    "fail": "HTTP 500",
    "gone": "'triage@7' does not exist: the endpoint answered HTTP 404, it serves no such model or adapter",
    "gone_in_full": "'triage@7' does not exist",
    "hang": r"no answer within 0\.05 s",
    "html": "'text/html'",
    "huge": "more than 8000000 bytes",
    "huge_line": "more than 8000000 bytes",
    "limit": "HTTP 429",
    "malformed": "not a chat completion",
    "no_choice": "no choice",
    "no_path": "'triage@7' answered HTTP 404",
    "not_utf8": "not a chat completion",
    "odd_chunk": "not a chat completion",
    "redirect": "HTTP 307",
    "reset": "is unavailable, or the connection broke",
    "silent": "empty",
}


@pytest.fixture
async def server() -> AsyncIterator[StudentServer]:
    async with student_server() as server:
        yield server


def endpoint(server: StudentServer, **settings: Any) -> Endpoint:
    return Endpoint(base_url=server.base_url, model="triage@7", **settings)


async def ask(where: Endpoint, body: dict[str, Any] = ASKED) -> str:
    chat = ChatClient(where, EndpointPool(where))
    try:
        return (await chat.complete(body)).message().text
    finally:
        await chat.close()


def test_every_fault_is_expected() -> None:
    assert set(WHY) == set(BROKEN)


@pytest.mark.parametrize("mood", BROKEN)
async def test_what_is_no_answer_is_a_student_error(server: StudentServer, mood: Behavior) -> None:
    server.behavior = mood
    patience = 0.05 if mood in FOREVER else 20.0
    with pytest.raises(StudentError, match=WHY[mood]) as caught:
        await ask(endpoint(server, timeout_seconds=patience))
    assert not isinstance(caught.value, ConfidenceTooLow)
    assert "secret" not in str(caught.value)
    assert "the prompt" not in str(caught.value)


@pytest.mark.parametrize("mood", BROKEN)
async def test_it_is_one_where_nothing_is_streamed_too(server: StudentServer, mood: Behavior) -> None:
    server.behavior = mood
    patience = 0.05 if mood in FOREVER else 20.0
    where = endpoint(server, timeout_seconds=patience, streamed="never")
    if mood in ("cut_stream", "error_event", "error_line", "huge_line", "malformed", "odd_chunk", "silent"):
        assert await ask(where) == "refund"
    else:
        with pytest.raises(StudentError, match=WHY[mood]):
            await ask(where)


async def test_after_a_fault_the_same_connection_answers_again(server: StudentServer) -> None:
    where = endpoint(server, timeout_seconds=20.0)
    chat = ChatClient(where, EndpointPool(where))
    for mood in BROKEN:
        if mood not in FOREVER:
            server.behavior = mood
            with pytest.raises(StudentError):
                await chat.complete(ASKED)
    server.behavior = "answer"
    assert (await chat.complete(ASKED)).message().text == "refund"
    await chat.close()


async def test_a_server_that_is_away_is_a_student_error() -> None:
    async with student_server() as server:
        where = endpoint(server)
    with pytest.raises(StudentError, match="is unavailable"):
        await ask(where)


@pytest.mark.parametrize("url", ["nowhere", "http://", "ftp://127.0.0.1/v1", "http://[::1/v1"])
async def test_an_address_that_is_none_is_a_student_error(url: str) -> None:
    with pytest.raises(StudentError, match="is unavailable"):
        await ask(Endpoint(base_url=url, model="m"))


async def test_a_key_that_cannot_be_sent_is_a_student_error(server: StudentServer) -> None:
    with pytest.raises(StudentError, match="is unavailable") as caught:
        await ask(endpoint(server, api_key="secret\r\nx: y"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("finish", ["content_filter", "abort", "error"])
async def test_a_bad_end_is_a_student_error(server: StudentServer, finish: str) -> None:
    server.finish = finish
    with pytest.raises(StudentError, match=f"ended with finish reason '{finish}'"):
        await ask(endpoint(server))


async def test_an_answer_that_ran_out_of_tokens_is_whole_only_where_the_caller_set_the_limit(
    server: StudentServer,
) -> None:
    server.finish = "length"
    with pytest.raises(StudentError, match="ran out of tokens"):
        await ask(endpoint(server))
    assert await ask(endpoint(server), {**ASKED, "max_tokens": 2}) == "refund"


async def test_text_that_is_no_unicode_is_asked_all_the_same(server: StudentServer) -> None:
    await ask(endpoint(server), {"messages": [{"role": "user", "content": "\ud800"}], "seed": 2**70})
    assert server.bodies[0]["messages"][0]["content"] == "\ud800"
    assert server.bodies[0]["seed"] == 2**70
