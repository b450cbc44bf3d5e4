"""Request bodies that arrive compressed."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import brotli
import orjson
import pytest
from backports import zstd
from tests.support.fake_teacher_responses import PATHS, Api
from tests.support.router_harness import APIS, TASK, BuildHarness, body_of, router_harnesses

COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "identity": lambda raw: raw,
    "deflate, gzip": lambda raw: gzip.compress(zlib.compress(raw)),
}


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as built:
        yield built


@pytest.mark.parametrize("encoding", COMPRESSORS)
@pytest.mark.parametrize("api", APIS)
async def test_a_compressed_call_is_answered_and_recorded(build: BuildHarness, api: Api, encoding: str) -> None:
    house = await build()
    raw = orjson.dumps(body_of(api))
    headers = {**TASK, "content-type": "application/json", "content-encoding": encoding}
    got = await house.send("POST", PATHS[api], data=COMPRESSORS[encoding](raw), **headers)
    assert got.status == 200
    assert house.teacher.raws == [raw]
    assert "content-encoding" not in house.teacher.headers[0]
    assert (await house.event()).response is not None


async def test_members_that_follow_one_another_are_one_body(build: BuildHarness) -> None:
    house = await build()
    raw = orjson.dumps(body_of("chat"))
    headers = {**TASK, "content-encoding": "gzip"}
    got = await house.send("POST", PATHS["chat"], data=gzip.compress(raw[:20]) + gzip.compress(raw[20:]), **headers)
    assert (got.status, house.teacher.raws) == (200, [raw])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_body_of_nothing_but_tiny_members_is_refused_at_once(build: BuildHarness, encoding: str) -> None:
    house = await build()
    packed = gzip.compress(COMPRESSORS[encoding](b"") * 500_000)
    got = await house.send("POST", PATHS["chat"], data=packed, content_encoding=f"{encoding}, gzip")
    assert (got.status, b"more than 1000 members" in got.body) == (400, True)


async def test_deflate_without_its_wrapping_is_read_too(build: BuildHarness) -> None:
    house = await build()
    raw = orjson.dumps(body_of("chat"))
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    got = await house.send("POST", PATHS["chat"], data=bare.compress(raw) + bare.flush(), content_encoding="deflate")
    assert (got.status, house.teacher.raws) == (200, [raw])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_too_large_once_decompressed_is_refused(build: BuildHarness, encoding: str) -> None:
    house = await build(max_body_bytes=10_000)
    bomb = COMPRESSORS[encoding](orjson.dumps(body_of("chat", user="x" * 1_000_000)))
    assert len(bomb) < 10_000
    for path in (PATHS["chat"], "/v1/embeddings"):
        got = await house.send("POST", path, data=bomb, content_encoding=encoding, content_type="application/json")
        assert (got.status, b"request_too_large" in got.body) == (413, True)
    assert (house.teacher.raws, house.teacher.passed) == ([], [])


async def test_a_body_of_exactly_the_limit_is_taken(build: BuildHarness) -> None:
    raw = orjson.dumps(body_of("chat", user="x" * 500))
    house = await build(max_body_bytes=len(raw))
    for encoding in ("gzip", "deflate", "br", "zstd"):
        got = await house.send("POST", PATHS["chat"], data=COMPRESSORS[encoding](raw), content_encoding=encoding)
        assert got.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("wrong", ["corrupt", "cut"])
async def test_a_corrupt_body_is_told_as_such(build: BuildHarness, encoding: str, wrong: str) -> None:
    house = await build()
    whole = COMPRESSORS[encoding](orjson.dumps(body_of("chat")))
    broken = whole[:-5] if wrong == "cut" else whole[:1] + b"\xff" + whole[2:]
    got = await house.send("POST", PATHS["chat"], data=broken, content_encoding=encoding)
    assert (got.status, b"the compressed body is" in got.body) == (400, True)


async def test_an_unknown_encoding_is_refused_with_those_that_are_known(build: BuildHarness) -> None:
    house = await build()
    got = await house.send("POST", PATHS["chat"], data=b"x", content_encoding="lzma")
    assert got.status == 415
    assert "gzip, deflate" in got.headers["accept-encoding"]
    assert b"'lzma' is unknown here; send one of" in got.body


async def test_what_passes_through_keeps_its_encoding_and_goes_to_its_model(build: BuildHarness) -> None:
    house = await build(teachers={"spare": {"models": ["gpt-*"]}, "teacher": {"models": ["embed-1"]}})
    packed = gzip.compress(orjson.dumps({"input": "x", "model": "embed-1"}))
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert (await house.send("POST", "/v1/embeddings", data=packed, **headers)).status == 200
    (passed,) = house.teacher.passed
    assert passed.headers["content-encoding"] == "gzip"
    assert passed.body in (packed, gzip.decompress(packed))  # the fake teacher's server may decompress it


async def test_a_compressed_body_that_only_the_teacher_can_read_reaches_it_readable(build: BuildHarness) -> None:
    house = await build()
    raw = orjson.dumps({"model": "gpt-4o-mini", "messages": "not a list"})
    got = await house.send("POST", PATHS["chat"], data=gzip.compress(raw), content_encoding="gzip")
    assert got.about["reason"] == "passed_through"
    assert house.teacher.raws == [raw]
    assert "content-encoding" not in house.teacher.headers[0]
