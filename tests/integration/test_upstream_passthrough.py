"""What passes through to a teacher, over real connections."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.support.fake_teacher import FakeTeacher, refusing_address
from tests.support.upstream import teachers

from understudies.router.call import TeacherError
from understudies.router.upstream.passthrough import PassthroughResponse
from understudies.router.upstream.teachers import TeacherPool

CALLERS = {"Authorization": "Bearer callers", "X-Api-Key": "callers-too", "Cookie": "c=1"}


@pytest.fixture
async def teacher() -> AsyncIterator[FakeTeacher]:
    async with FakeTeacher() as fake:
        yield fake


async def read(relayed: PassthroughResponse) -> bytes:
    return b"".join([piece async for piece in relayed])


async def refused(asked: TeacherPool, path: str, **fields: Any) -> TeacherError:
    with pytest.raises(TeacherError) as raised:
        await asked.pass_through("GET", path, {}, **fields)
    return raised.value


async def test_embeddings_pass(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        body = b'{ "model": "embed-1",  "input": ["a", "bc"] }'
        relayed = await asked.pass_through("POST", "/v1/embeddings?x=%20y", {"Content-Type": "application/json"}, body)
        answer = json.loads(await read(relayed))
    assert [listed["embedding"] for listed in answer["data"]] == [[1.0, 0.5], [2.0, 0.5]]
    assert (relayed.status, relayed.teacher) == (200, "main")
    assert ("x-request-id", "req-embeddings") in relayed.headers
    (passed,) = teacher.passed
    assert (passed.path_and_query, passed.body) == ("/v1/embeddings?x=%20y", body)
    assert passed.headers["content-length"] == str(len(body))


async def test_the_models_are_the_teachers(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through("GET", "/v1/models", {})
        assert json.loads(await read(relayed))["data"][0]["id"] == "gpt-4o-mini"
    assert "transfer-encoding" not in teacher.passed[0].headers


async def test_a_multipart_body_passes_untouched_and_piece_by_piece(teacher: FakeTeacher) -> None:
    came = asyncio.Event()
    body = [b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n', b"\x00\xff" * 50_000, b"\r\n--b--\r\n"]

    async def pieces() -> AsyncIterator[bytes]:
        yield body[0]
        await came.wait()
        yield body[1]
        yield body[2]

    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through("POST", "/v1/files", headers, pieces())
        got = b""
        async for piece in relayed:
            got += piece
            # The teacher echoes: what it answers comes back before all has been sent.
            came.set()
    assert got == teacher.passed[0].body == b"".join(body)
    assert teacher.passed[0].headers["content-type"] == "multipart/form-data; boundary=b"
    assert dict(relayed.headers)["content-type"] == "multipart/form-data; boundary=b"


async def test_a_declared_length_stays_declared(teacher: FakeTeacher) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    async with teachers(main={"base_url": teacher.url}) as asked:
        await read(await asked.pass_through("POST", "/v1/files", {"Content-Length": "6"}, pieces()))
    assert teacher.passed[0].headers["content-length"] == "6"
    assert "transfer-encoding" not in teacher.passed[0].headers


async def test_an_encoded_body_stays_encoded_as_its_headers_say(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through("POST", "/v1/audio/speech?zip", {"accept-encoding": "gzip"}, b"moo" * 1000)
        zipped = await read(relayed)
    headers = dict(relayed.headers)
    assert gzip.decompress(zipped) == b"moo" * 1000
    assert (headers["content-encoding"], headers["content-length"]) == ("gzip", str(len(zipped)))


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "HEAD", "OPTIONS"])
async def test_every_method_passes(teacher: FakeTeacher, method: str) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through(method, "/v1/responses/resp_1", {})
        await read(relayed)
    assert (relayed.status, dict(relayed.headers)["x-echo"]) == (200, method)
    assert teacher.passed[0].body == b""


@pytest.mark.parametrize(
    ("spec", "headers", "sent"),
    [
        ({}, {}, {"authorization": "Bearer callers", "x-api-key": "callers-too"}),
        ({"api_key": "own"}, {}, {"authorization": "Bearer own"}),
        ({"api_key": "own"}, {"Anthropic-Version": "2023-06-01"}, {"x-api-key": "own"}),
        ({"auth": "none"}, {}, {}),
    ],
)
async def test_the_key_is_the_one_that_is_meant(
    teacher: FakeTeacher, spec: dict[str, str], headers: Mapping[str, str], sent: dict[str, str]
) -> None:
    async with teachers(main={"base_url": teacher.url, **spec}) as asked:
        await read(await asked.pass_through("POST", "/v1/files", {**CALLERS, **headers}, b"x"))
    got = teacher.passed[0].headers
    assert {name: got[name] for name in ("authorization", "x-api-key", "cookie") if name in got} == sent


async def test_headers_of_a_connection_and_of_the_router_stay_behind(teacher: FakeTeacher) -> None:
    sent = {
        "Host": "router",
        "Connection": "close, X-Hop",
        "X-Hop": "1",
        "TE": "trailers",
        "X-Understudies-Task": "triage",
        "X-Forwarded-For": "10.0.0.1",
        "OpenAI-Beta": "assistants=v2",
    }
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through("POST", "/v1/files", sent, b"x")
        await read(relayed)
    got = teacher.passed[0].headers
    assert got["openai-beta"] == "assistants=v2"
    assert got["host"] != "router"
    assert not {"x-hop", "te", "x-understudies-task", "x-forwarded-for"} & set(got)
    assert "set-cookie" not in dict(relayed.headers)


async def test_the_model_or_the_manner_chooses_the_teacher(teacher: FakeTeacher) -> None:
    async with FakeTeacher() as other:
        specs: dict[str, Any] = {
            "claudes": {"base_url": other.url, "models": ["claude-*"], "apis": ["messages"]},
            "all": {"base_url": teacher.url, "apis": ["chat", "responses"]},
        }
        async with teachers(**specs) as asked:
            for model, headers, name in (
                ("claude-opus-4-1", {}, "claudes"),
                ("gpt-4o", {}, "all"),
                (None, {}, "all"),
                (None, {"Anthropic-Version": "2023-06-01"}, "claudes"),
            ):
                relayed = await asked.pass_through("POST", "/v1/files", headers, b"", model)
                await read(relayed)
                assert relayed.teacher == name


async def test_an_unknown_model_is_refused(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url, "models": ["gpt-*"]}) as asked:
        assert (await refused(asked, "/v1/embeddings", model="moo")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1@elsewhere.example/x",
        "/v1/../admin",
        "/v1/%2e%2E/admin",
        "/v1/..%2fadmin",
        "/v1/.\\..\\admin",
        "/v1/files#x",
        "/v1/a b",
        "/v1/ü",
        "/v10/files",
        "//elsewhere.example/v1/files",
        "http://elsewhere.example/v1/files",
        "/admin",
        "",
    ],
)
async def test_only_plain_paths_under_v1_pass(teacher: FakeTeacher, path: str) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        assert (await refused(asked, path)).status == 404
    assert teacher.passed == []


async def test_odd_but_plain_paths_arrive_as_they_are(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        for path in ("/v1/models/org%2Fname", "/v1/files/..a...b?after=../x&b=%2e%2e", "/v1/files//x/"):
            await read(await asked.pass_through("POST", path, {}, b""))
            assert teacher.passed[-1].path_and_query == path


async def test_errors_and_redirects_pass_as_they_are(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        teacher.mood = "limit"
        relayed = await asked.pass_through("POST", "/v1/embeddings", {}, b"{}")
        assert (relayed.status, dict(relayed.headers)["retry-after"]) == (429, "7")
        assert b"slow down" in await read(relayed)
        teacher.mood = "redirect"
        relayed = await asked.pass_through("POST", "/v1/embeddings", {}, b"{}")
        assert relayed.status == 307
        await relayed.close()
    assert len(teacher.passed) == 2


async def test_a_key_that_is_not_taken_is_not_shown(teacher: FakeTeacher) -> None:
    teacher.mood = "unauthorized"
    async with teachers(main={"base_url": teacher.url, "api_key": "own"}) as asked:
        assert (await refused(asked, "/v1/files")).code == "teacher_refused_key"


async def test_a_teacher_that_cannot_be_reached_is_told() -> None:
    with refusing_address() as url:
        async with teachers(main={"base_url": url}) as asked:
            assert (await refused(asked, "/v1/files")).code == "teacher_unreachable"


async def test_a_kept_connection_that_is_gone_is_made_again(teacher: FakeTeacher) -> None:
    async with teachers(main={"base_url": teacher.url}) as asked:
        for method, path, headers in (
            ("PUT", "/v1/files", {}),
            ("POST", "/v1/files", {"idempotency-key": "k"}),
            ("POST", "/v1/moderations", {}),
            ("POST", "/v1/messages/count_tokens?beta=true", {}),
        ):
            teacher.moods.append("drop")
            assert (await read(await asked.pass_through(method, path, headers, b"x"))) == b"x"
        teacher.mood = "drop"
        assert (await refused(asked, "/v1/files", body=_pieces())).code == "teacher_answer_broken"


async def test_what_may_have_been_done_is_not_asked_for_again(teacher: FakeTeacher) -> None:
    teacher.moods.append("drop")
    async with teachers(main={"base_url": teacher.url}) as asked:
        with pytest.raises(TeacherError, match="broke off"):
            await asked.pass_through("POST", "/v1/batches", {}, b"x")
    assert len(teacher.passed) == 1


async def _pieces() -> AsyncIterator[bytes]:
    yield b"x"


async def test_an_answer_that_breaks_off_raises(teacher: FakeTeacher) -> None:
    teacher.mood = "reset"
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through("POST", "/v1/files", {}, b"x")
        with pytest.raises(TeacherError, match="broke off"):
            await read(relayed)


async def test_an_answer_that_does_not_begin_is_given_up(teacher: FakeTeacher) -> None:
    teacher.mood = "hang"
    async with teachers(main={"base_url": teacher.url, "timeouts": {"first_byte_s": 0.05}}) as asked:
        assert (await refused(asked, "/v1/files")).status == 504


async def test_an_answer_that_stalls_is_given_up(teacher: FakeTeacher) -> None:
    teacher.mood = "stall"
    async with teachers(main={"base_url": teacher.url, "timeouts": {"idle_s": 0.05}}) as asked:
        relayed = await asked.pass_through("POST", "/v1/files", {}, b"x")
        with pytest.raises(TeacherError, match="in time"):
            await read(relayed)


async def test_closing_cancels_the_teacher(teacher: FakeTeacher) -> None:
    teacher.mood = "stall"
    async with teachers(main={"base_url": teacher.url}) as asked:
        relayed = await asked.pass_through("POST", "/v1/files", {}, b"x")
        await anext(aiter(relayed))
        await relayed.close()
        await asyncio.wait_for(teacher.cancelled.wait(), 10)
