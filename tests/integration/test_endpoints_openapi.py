"""The running router against its own OpenAPI document: schemathesis sends what fits it, and what does not."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.router_harness import BuildHarness, router_harnesses
from tests.support.strict_teacher import StrictTeacher

OPTIONS = {"--checks": "all", "--mode": "all", "--phases": "examples,coverage,fuzzing", "--max-examples": "25"}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


@pytest.mark.parametrize(("share", "seed"), [(0.0, 1), (1.0, 2)], ids=["teacher", "student"])
async def test_nothing_that_is_sent_is_answered_otherwise_than_documented(
    build: BuildHarness, tmp_path: Path, share: float, seed: int
) -> None:
    house = await build(teacher=StrictTeacher)
    await house.promote(share=share)
    # What a student does not need to read of a body, such as a limit of no tokens, is the teacher's to refuse.
    by_student = ["--header", "X-Understudies-Task: triage", "--exclude-checks", "negative_data_rejection"]
    more = by_student if share else []
    said, code = await schemathesis(f"{house.url}/openapi.json", tmp_path, seed, more)
    assert code == 0, said
    events = await house.recorded()
    served = {event.served_by for event in events}
    assert served >= ({"teacher", "student"} if share else {"teacher", "none"})
    assert not any("router failed" in (event.error or "") for event in events)


async def schemathesis(url: str, folder: Path, seed: int, more: list[str]) -> tuple[str, int | None]:
    """What it says, and its exit code; in a folder of its own, as it keeps what it finds."""
    words = [word for option in OPTIONS.items() for word in option]
    command = [sys.executable, "-m", "schemathesis.cli", "run", url, *words, "--seed", str(seed), *more]
    command += ["--generation-database", "none", "--continue-on-failure", "--no-color"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return said.decode(), process.returncode


HOSTILE = [
    b"GET /v1/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/../healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/%2e%2e/admin HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/models/understudies%2F%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://elsewhere.example/v1/models/x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Understudies-Task: \xff\xfe\r\nContent-Length: 56\r\n\r\n"
    b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"TRACE /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-x\r\n\r\n",
    b"BREW /v1/embeddings HTTP/1.1\r\nHost: x\r\n\r\n",
]


async def test_hostile_requests_are_refused_and_reach_no_teacher(build: BuildHarness) -> None:
    house = await build()
    host, port = house.url.removeprefix("http://").split(":")
    for request in HOSTILE:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        head = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()
        passed = house.teacher.passed.pop().path_and_query if house.teacher.passed else ""
        assert int(head.split()[1]) in ((200, 404) if b"elsewhere" in request or passed else (400, 404, 405)), request
        assert ".." not in passed, request
        assert b"admin" not in passed.encode(), request
    assert house.teacher.asked == []
    assert (await house.send("GET", "/healthz")).status == 200


async def test_trace_is_refused_with_what_is_allowed(build: BuildHarness) -> None:
    house = await build()
    got = await house.send("TRACE", "/v1/chat/completions", authorization="Bearer sk-secret")
    assert (got.status, got.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
    assert b"sk-secret" not in got.body


@pytest.mark.parametrize("word", ["ture", "", "2", "on"])
async def test_a_misspelt_critical_is_refused_rather_than_overlooked(build: BuildHarness, word: str) -> None:
    house = await build()
    await house.promote()
    got = await house.ask("chat", headers={"X-Understudies-Critical": word})
    assert got.status == 400
    assert b"neither true nor false" in got.body
    assert house.student.asked == 0
