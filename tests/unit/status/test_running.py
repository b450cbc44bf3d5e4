"""Finding the process that uses a folder, and reading its status."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.responses import send_json, send_response
from understudies.router.http1.server import HttpServer
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.process import is_locked, lock_data_dir
from understudies.status.running import RunningProcess, announce, read_announcement
from understudies.status.standing import Overview

OVERVIEW = Overview(at=datetime(2026, 1, 5, tzinfo=UTC), source="a test")


async def answer_of(status: int, body: bytes | str, ask: Callable[[str], object]) -> object:
    """What `ask` makes of an answer; it blocks, and is called with the base URL."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if isinstance(body, str):
            await send_json(send, status, {"error": {"message": body}})
        else:
            await send_response(send, status, {}, body)

    server = HttpServer(serve, "127.0.0.1", 0)
    await server.start()
    try:
        return await asyncio.to_thread(ask, server.url)
    finally:
        await server.stop()


async def test_the_status_is_read_from_a_running_process() -> None:
    body = OVERVIEW.model_dump_json().encode()
    assert await answer_of(200, body, lambda url: RunningProcess(url=url, token="t").overview()) == OVERVIEW


async def test_an_unknown_task_is_none() -> None:
    assert await answer_of(404, "no call of a task 'x'", lambda url: RunningProcess(url=url).story("x")) is None


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (403, ConfigurationError, "set UNDERSTUDIES_STATUS_KEY to it"),
        (404, ConfigurationError, "give the base URL of `understudies up`"),
        (500, RetryLater, "answered with 500"),
    ],
)
async def test_what_is_wrong_is_told_with_the_remedy(status: int, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        await answer_of(status, "something", lambda url: RunningProcess(url=url).story("x"))


async def test_a_service_that_starts_says_so_itself() -> None:
    body = json.dumps({"error": {"message": "observer is starting: it brings", "code": "starting"}}).encode()
    with pytest.raises(RetryLater, match=r"http://\S+/status\S*: observer is starting: it brings$"):
        await answer_of(503, body, lambda url: RunningProcess(url=url).part())


async def test_nobody_there_is_told() -> None:
    url = str(await answer_of(200, b"", lambda url: url))
    with pytest.raises(RetryLater, match="is `understudies up` running there"):
        await asyncio.to_thread(RunningProcess(url=url).overview)


def test_the_folder_tells_where_its_process_answers_and_only_to_its_user(tmp_path: Path) -> None:
    process = RunningProcess(url="http://127.0.0.1:1", token="secret")
    with pytest.raises(RetryLater, match="does not answer yet"):
        read_announcement(tmp_path)
    with announce(tmp_path, process):
        assert read_announcement(tmp_path) == process
        (file,) = tmp_path.iterdir()
        assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_keeps_nobody_from_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with announce(tmp_path / "gone", RunningProcess(url="http://127.0.0.1:1")):
        assert "`understudies status` needs its --url" in caplog.text


def test_a_folder_is_in_use_while_its_lock_is_held(tmp_path: Path) -> None:
    assert not is_locked(tmp_path, "up")
    with lock_data_dir(tmp_path, "up"):
        assert is_locked(tmp_path, "up")
        assert not is_locked(tmp_path, "observer")
    assert not is_locked(tmp_path, "up")
