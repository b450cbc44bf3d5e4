"""A real broker: delivery, outages, the end of the process, forks."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry import trace
from tests.support.event_samples import SAMPLES
from tests.support.sightings import invocations, on_the_bus
from tests.support.tansu_broker import TansuBroker, open_consumer, read_events

from understudies.client import PublishError, Understudies, promotions
from understudies.events import INVOCATIONS, PROMOTIONS, Invocation, Promotion, encode, topic_of

_AGENT = """
import sys
from understudies.client import Understudies
echo = Understudies(sys.argv[1]).shadow(str.upper, "exit")
for n in range(50):
    echo(f"call {n}")
"""
_FORKING = """
import os, sys
from understudies.client import Understudies
client = Understudies(sys.argv[1])
echo = client.shadow(str.upper, "fork")
echo("parent before")
if os.fork() == 0:
    echo("child")
    done = client.flush(10) and client.losses == {}
    os._exit(0 if done else 3)
_, status = os.wait()
echo("parent after")
client.close()
sys.exit(os.waitstatus_to_exitcode(status) or client.dropped)
"""


@pytest.fixture
async def tansu() -> AsyncIterator[TansuBroker]:
    async with TansuBroker() as running:
        yield running


async def _run(script: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def _flushed(client: Understudies, timeout_s: float = 30) -> bool:
    return await asyncio.to_thread(client.flush, timeout_s)


async def test_a_call_reaches_the_bus_with_headers_and_key(tansu: TansuBroker) -> None:
    async with on_the_bus(tansu, tenant="acme") as client:
        assert client.shadow(str.upper, "shout", tags={"a": "b"}, episode="e-1")("ada@example.org") == "ADA@EXAMPLE.ORG"
        assert await _flushed(client)
        async with asyncio.timeout(10), open_consumer(tansu.bootstrap, INVOCATIONS) as consumer:
            record = await consumer.getone()
    event = INVOCATIONS.decode(record.value)
    assert isinstance(event, Invocation)
    assert record.key == b"shout"
    headers = dict(record.headers)
    assert headers["ce_id"].decode() == event.id
    assert headers["ce_type"] == b"understudies.invocation"
    assert headers["ce_source"] == b"/understudies/sdk/acme"
    assert (event.tenant, event.tags, event.episode) == ("acme", {"a": "b"}, "e-1")
    assert event.request.messages[0].content == "[EMAIL]"
    assert (event.origin, event.served_by, event.error) == ("live", "teacher", None)


async def test_errors_are_recorded_without_an_answer(tansu: TansuBroker) -> None:
    def fails(prompt: str) -> str:
        raise TimeoutError("no answer in 30 s for ada@example.org")

    def streams(prompt: str) -> Any:
        yield "half"
        yield "whole"

    async with on_the_bus(tansu) as client:
        with pytest.raises(TimeoutError):
            client.shadow(fails, "t")("a")
        stream = client.shadow(streams, "t")("b")
        assert next(stream) == "half"
        stream.close()
        assert await _flushed(client)
        failed, abandoned = await invocations(tansu, 2)
    assert failed.error == "TimeoutError: no answer in 30 s for [EMAIL]"
    assert failed.response is None
    assert abandoned.error == "abandoned: the caller stopped reading the stream after 1 chunks"
    assert not abandoned.answered_by_teacher


async def test_threads_and_tasks_at_once(tansu: TansuBroker) -> None:
    async def teacher(prompt: str) -> str:
        await asyncio.sleep(0)
        return prompt

    async with on_the_bus(tansu) as client:
        sync, coroutine = client.shadow(str.upper, "t"), client.shadow(teacher, "t")
        with ThreadPoolExecutor(100) as pool:
            calls = [asyncio.get_running_loop().run_in_executor(pool, sync, f"thread {n}") for n in range(500)]
            await asyncio.gather(*calls, *(coroutine(f"task {n}") for n in range(500)))
        assert await _flushed(client)
        found = await invocations(tansu, 1000)
    assert len({event.request.messages[0].content for event in found}) == 1000
    assert client.dropped == 0


async def test_calls_wait_for_a_broker_that_is_away(tansu: TansuBroker) -> None:
    tansu.stop()
    async with on_the_bus(tansu) as client:
        echo = client.shadow(str.upper, "t")
        begun = time.perf_counter()
        assert [echo(f"call {n}") for n in range(200)][-1] == "CALL 199"
        assert time.perf_counter() - begun < 1
        assert not client.flush(0.3)
        assert client.dropped == 0
        await tansu.start()
        assert await _flushed(client)
        found = await invocations(tansu, 200)
    assert {event.request.messages[0].content for event in found} == {f"call {n}" for n in range(200)}


@pytest.mark.parametrize("kept", [False, True])
async def test_what_may_be_lost_without_a_broker_is_said_at_once(
    tansu: TansuBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: bool
) -> None:
    tansu.stop()
    corpus = tmp_path / "calls.jsonl" if kept else None
    client = Understudies(tansu.bootstrap, corpus=corpus, max_buffer=7, exit_timeout=0.2)
    client.shadow(str.upper, "t")("a")
    assert not await asyncio.to_thread(client.flush, 1.0)
    said = [record.message for record in caplog.records if "is unavailable" in record.message]
    assert "lost are calls beyond 7, and those still waiting 0.2 s after the end" in said[0]
    assert ("give spool=FOLDER" in said[0]) is not kept
    await asyncio.to_thread(client.close)
    assert (corpus is not None and len(corpus.read_text().splitlines()) == 1) is kept


async def test_calls_wait_for_a_broker_that_answers_no_more_and_comes_back(tansu: TansuBroker) -> None:
    async with on_the_bus(tansu, kafka={"request_timeout_ms": 500, "retry_backoff_ms": 50}) as client:
        echo = client.shadow(str.upper, "t")
        echo("before")
        assert await _flushed(client)
        tansu.pause()
        echo("while it is away")
        # longer than the request's time-out, so that the delivery fails and is tried again
        assert not await _flushed(client, 1.5)
        tansu.resume()
        echo("after")
        assert await _flushed(client)
        contents = {event.request.messages[0].content for event in await invocations(tansu, 3)}
    assert {"before", "while it is away"} <= contents <= {"before", "while it is away", "after"}
    assert client.dropped == 0


async def test_the_end_does_not_wait_for_ever(tansu: TansuBroker) -> None:
    tansu.stop()
    client = Understudies(tansu.bootstrap)
    client.shadow(str.upper)("a")
    waiting = asyncio.create_task(client.publish(SAMPLES["drift"]))
    await asyncio.sleep(0)
    begun = time.perf_counter()
    await asyncio.to_thread(client.close, 0.2)
    assert time.perf_counter() - begun < 5
    assert client.losses == {"unsent": 2}
    with pytest.raises(PublishError, match="closed"):
        await waiting
    assert "understudies-recorder" not in {thread.name for thread in threading.enumerate()}


async def test_any_event_can_be_published(tansu: TansuBroker) -> None:
    async with on_the_bus(tansu) as client:
        for event in SAMPLES.values():
            await client.publish(event)
        assert client.publish_nowait(SAMPLES["drift"])
        assert await _flushed(client)
        for name in ("invocation", "verdict", "promotion", "drift"):
            topic = topic_of(SAMPLES[name])
            assert SAMPLES[name] in await read_events(tansu.bootstrap, topic, 2 if name != "promotion" else 1)


async def test_an_event_that_cannot_be_published_is_refused(tansu: TansuBroker) -> None:
    async with on_the_bus(tansu, max_bytes=100) as client:
        with pytest.raises(PublishError, match="allowed are 100"):
            await client.publish(SAMPLES["drift"])
        assert client.losses == {"too_large": 1}
    with pytest.raises(PublishError, match="closed"):
        await client.publish(SAMPLES["drift"])
    assert not client.publish_nowait(SAMPLES["drift"])


async def test_what_the_broker_refuses_does_not_stop_the_rest(tansu: TansuBroker) -> None:
    async with on_the_bus(tansu, kafka={"max_request_size": 1000}) as client:
        echo = client.shadow(str.upper, "t")
        echo("a" * 2000)
        echo("b")
        assert await _flushed(client)
        assert client.losses == {"refused": 1}
        (found,) = await invocations(tansu, 1)
    assert found.request.messages[0].content == "b"


async def test_the_end_of_the_process_loses_nothing(tansu: TansuBroker) -> None:
    await _run(_AGENT, tansu.bootstrap.replace("127.0.0.1", "localhost"))
    assert len(await invocations(tansu, 50)) == 50


async def test_a_fork_records_and_repeats_nothing(tansu: TansuBroker) -> None:
    await _run(_FORKING, tansu.bootstrap)
    contents = [event.request.messages[0].content for event in await invocations(tansu, 3)]
    assert sorted(map(str, contents)) == ["child", "parent after", "parent before"]


async def test_the_trace_of_the_caller_travels_with_the_call(tansu: TansuBroker) -> None:
    context = trace.SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1))
    async with on_the_bus(tansu) as client:
        with trace.use_span(trace.NonRecordingSpan(context)):
            client.shadow(str.upper)("a")
        assert await _flushed(client)
        async with asyncio.timeout(10), open_consumer(tansu.bootstrap, INVOCATIONS) as consumer:
            headers = dict((await consumer.getone()).headers)
    assert headers["traceparent"] == b"00-" + b"0" * 30 + b"a1-" + b"0" * 14 + b"b2-01"


async def test_promotions_come_from_the_beginning_and_then_live(tansu: TansuBroker) -> None:
    first = SAMPLES["promotion"]
    assert isinstance(first, Promotion)
    other = first.model_copy(update={"id": "2", "task": "other"})
    live = first.model_copy(update={"id": "3", "stage": "demoted"})
    producer = AIOKafkaProducer(bootstrap_servers=tansu.bootstrap)
    await producer.start()
    try:
        for value in (b"\xff no json", encode(first), b'{"type":"promotion"}', None, encode(other)):
            await producer.send_and_wait(PROMOTIONS.name, value, key=b"k")
        story = promotions(tansu.bootstrap)
        filtered = promotions(tansu.bootstrap, "weather")
        async with asyncio.timeout(30):
            assert [await anext(story), await anext(story)] == [first, other]
            assert await anext(filtered) == first
            await producer.send_and_wait(PROMOTIONS.name, encode(live), key=b"k")
            assert await anext(story) == live
            assert await anext(filtered) == live
        await story.aclose()  # type: ignore[attr-defined]  # an async generator, by its signature an iterator
        await filtered.aclose()  # type: ignore[attr-defined]
    finally:
        await producer.stop()


async def test_promotions_wait_for_the_broker(tansu: TansuBroker) -> None:
    tansu.stop()
    story = promotions(tansu.bootstrap)
    coming = asyncio.ensure_future(anext(story))
    assert await asyncio.wait({coming}, timeout=0.3) == (set(), {coming})
    await tansu.start()
    async with on_the_bus(tansu) as client:
        await client.publish(SAMPLES["promotion"])
        async with asyncio.timeout(30):
            assert await coming == SAMPLES["promotion"]
    await story.aclose()  # type: ignore[attr-defined]  # an async generator, by its signature an iterator
