"""What every bus promises, whichever broker is behind it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.brokers import BROKERS
from tests.support.buses import BUSES, SECONDS, KafkaTopics, Topics, open_topics
from tests.support.commands import wait_until
from tests.support.sample_events import make_invocation, make_promotion

from understudies.events import DRIFT, INVOCATIONS, PROMOTIONS, Event, Promotion, Topic, encode
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.bus.memory_bus import MemoryBus, MemoryTopics
from understudies.runtime.bus.messages import BusMessage, Offsets, Record
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.errors import Reject, RetryLater, StopService
from understudies.runtime.settings import BusSettings


@pytest.fixture(params=sorted(BUSES))
async def topics(request: pytest.FixtureRequest) -> AsyncIterator[Topics]:
    async with BUSES[request.param]() as topics:
        yield topics


@pytest.fixture(params=sorted(BUSES.keys() - {"embedded_with_groups"}))
async def quick(request: pytest.FixtureRequest) -> AsyncIterator[Topics]:
    """For what does not depend on groups."""
    async with BUSES[request.param]() as topics:
        yield topics


@pytest.fixture(params=sorted(BROKERS.keys() - {"embedded_with_groups"}))
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[KafkaTopics]:
    """For what outlives a process, or is read by others."""
    async with open_topics(BROKERS[request.param]) as topics:
        yield topics


@pytest.fixture
def task() -> str:
    return f"task-{uuid.uuid4().hex}"


class Reader:
    """A service that keeps what it reads of one task."""

    def __init__(self, bus: Bus, task: str, topics: Sequence[Topic], start: Offsets | None = None) -> None:
        self.bus = bus
        self.task = task
        self.events: list[Event] = []
        self.records: list[Record] = []
        self.errors: list[Exception] = []
        self._grew = asyncio.Condition()
        self.bus.consume(topics, self.handle, start=lambda: start or {})

    async def handle(self, records: Sequence[Record]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        events = [event for event in await self.bus.decode_events(records) if event.task == self.task]
        async with self._grew:
            self.records += records
            self.events += events
            self._grew.notify_all()

    async def got(self, n: int) -> list[Event]:
        async with asyncio.timeout(SECONDS), self._grew:
            await self._grew.wait_for(lambda: len(self.events) >= n)
        return self.events


async def test_events_arrive_complete_and_in_order(topics: Topics, task: str) -> None:
    reader = Reader(topics.connect("reader"), task, [INVOCATIONS, PROMOTIONS])
    await reader.bus.start()
    calls = [make_invocation(f"question {n}", task=task) for n in range(300)]
    await reader.bus.publish(*calls)
    assert await reader.got(300) == calls
    record = reader.records[0]
    headers = {key: value.decode() for key, value in record.headers}
    assert record.key == task.encode()
    assert headers["ce_id"] == calls[0].id
    assert headers["ce_type"] == "understudies.invocation"
    assert headers["ce_source"] == "/understudies/reader"
    assert headers["ce_time"] == "2025-03-03T09:00:00Z"
    assert headers["ce_specversion"] == "1.0"
    assert headers["content-type"] == "application/json"
    await reader.bus.stop()


async def test_a_batch_comes_again_after_an_error(topics: Topics, task: str) -> None:
    reader = Reader(topics.connect("reader"), task, [INVOCATIONS])
    reader.errors = [ValueError("a bug"), RetryLater("the store is away")]
    await reader.bus.start()
    calls = [make_invocation(f"question {n}", task=task) for n in range(20)]
    await reader.bus.publish(*calls)
    assert await reader.got(20) == calls
    assert not reader.errors
    await reader.bus.stop()


async def test_a_service_that_keeps_failing_stops_with_its_error(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader", max_attempts=2), task, [INVOCATIONS])
    reader.errors = [ValueError("a bug"), ValueError("the same bug"), ValueError("not reached")]
    await reader.bus.start()
    await reader.bus.publish(make_invocation(task=task))
    with pytest.raises(ValueError, match="the same bug"):
        await asyncio.wait_for(reader.bus.wait_stopped(), SECONDS)
    await reader.bus.stop()
    assert not reader.events
    assert len(reader.errors) == 1


async def committed(settings: BusSettings) -> int:
    """Records that the reader's group has done with."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=f"{settings.group_prefix}-reader")
    await consumer.start()
    partitions = [TopicPartition(INVOCATIONS.name, n) for n in range(INVOCATIONS.partitions)]
    consumer.assign(partitions)
    offsets = [await consumer.committed(partition) for partition in partitions]
    await consumer.stop()
    return sum(offset or 0 for offset in offsets)


async def offset_of(settings: BusSettings, story: Promotion) -> int:
    """Where a promotion lies in its topic."""
    consumer = AIOKafkaConsumer(PROMOTIONS.name, bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(SECONDS):
            async for record in consumer:
                if story.id.encode() in record.value:
                    return int(record.offset)
    finally:
        await consumer.stop()
    raise AssertionError("the topic ended")


@pytest.mark.parametrize("name", sorted(BROKERS.keys() - {"embedded"}))
async def test_a_group_is_done_with_a_batch_only_when_its_handler_returned(name: str, task: str) -> None:
    async with open_topics(BROKERS[name]) as topics:
        reader = Reader(topics.connect("reader"), task, [INVOCATIONS])
        reader.errors = [ValueError("a bug")]
        before: list[int] = []
        handle = reader.handle

        async def handle_and_look(records: Sequence[Record]) -> None:
            before.append(await committed(topics.settings))
            await handle(records)

        reader.bus = topics.connect("reader")
        reader.bus.consume([INVOCATIONS], handle_and_look)
        await reader.bus.start()
        await reader.bus.publish(make_invocation(task=task), make_invocation(task=task))
        await reader.got(2)
        await reader.bus.stop()
        assert before == [0, 0]
        assert await committed(topics.settings) == 2


async def test_a_bus_knows_what_its_group_has_done_before(topics: Topics, task: str) -> None:
    for times in (1, 2):
        reader = Reader(topics.connect("reader"), task, [INVOCATIONS])
        await reader.bus.start()
        await reader.bus.publish(*[make_invocation(f"{times}, {n}", task=task) for n in range(3)])
        await reader.got(3)
        done = await reader.bus.fetch_committed_offsets()
        await reader.bus.stop()
        if topics.settings.group_prefix is None:
            assert done == {}
            return
        assert {topic for topic, _ in done} <= {"invocations"}
        if times == 2:
            assert max(done.values()) >= 3


async def test_start_offsets_decide_where_reading_begins(broker: KafkaTopics, task: str) -> None:
    writer = broker.connect("writer")
    await writer.start()
    stories = [make_promotion(task=task, minutes=n) for n in range(10)]
    await writer.publish(*stories)
    await writer.stop()
    reader = Reader(
        broker.connect("reader"), task, [PROMOTIONS], {("promotions", 0): await offset_of(broker.settings, stories[4])}
    )
    await reader.bus.start()
    assert await reader.got(6) == stories[4:]
    await reader.bus.stop()


async def test_a_bus_knows_where_its_topics_end(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [PROMOTIONS, DRIFT])
    await reader.bus.start()
    where = ("promotions", 0)
    before = (await reader.bus.fetch_end_offsets({}))[where]
    for count, expected in ((0, 0), (4, 4), (1, 5), (10, 15)):
        await reader.bus.publish(*[make_promotion(task=task) for _ in range(count)])
        ends = await asyncio.wait_for(reader.bus.fetch_end_offsets({where: before}), SECONDS)
        assert ends[where] - before == expected
        assert (await asyncio.wait_for(reader.bus.fetch_end_offsets({}), SECONDS))[where] == ends[where]
        assert ends.keys() == {where, *(("drift", n) for n in range(DRIFT.partitions))}
    await reader.bus.stop()


POISON = {
    "not UTF-8": b'{"id":"\xff\xfe"}',
    "nested 10,000 deep": b'{"evidence":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "wrong types": b'{"id":7,"at":"yesterday","task":"t","student":[],"stage":"unheard of"}',
    "another JSON value": b"[1,2]",
    "empty": b"",
    "tombstone": None,
    "cut off": b'{"id":"1","at":',
}


@pytest.mark.parametrize("value", POISON.values(), ids=POISON.keys())
@pytest.mark.parametrize("name", ["embedded", "memory"])
async def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(name: str, task: str, value: bytes | None) -> None:
    async with BUSES[name]() as topics:
        reader = Reader(topics.connect("reader"), task, [PROMOTIONS])
        await reader.bus.start()
        await topics.send_raw("promotions", value)
        good = make_promotion(task=task)
        await reader.bus.publish(good)
        assert await reader.got(1) == [good]
        ((letter, headers),) = await topics.read_dead_letters(1)
        assert letter == (value or b"")
        assert headers["original-topic"] == b"promotions"
        assert headers["original-partition"] == b"0"
        assert headers["original-offset"] == b"0"
        assert headers["reason"]
        await reader.bus.stop()


async def test_a_header_that_is_not_text_does_no_harm(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [PROMOTIONS])
    await reader.bus.start()
    value = make_promotion(task=task).model_dump_json().encode()
    await quick.send_raw("promotions", value, headers=[("x", b"\xff"), ("traceparent", b"\xff\x00")])
    assert len(await reader.got(1)) == 1
    await reader.bus.stop()


async def test_more_than_a_hundred_unreadable_messages_in_a_row_stop_the_service(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [PROMOTIONS])
    await reader.bus.start()
    await quick.send_raw("promotions", *[b"nonsense"] * 101)
    with pytest.raises(StopService, match="more than 100 consecutive records cannot be decoded"):
        await asyncio.wait_for(reader.bus.wait_stopped(), SECONDS)
    await reader.bus.stop()


async def test_an_event_of_ten_megabytes_passes(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [INVOCATIONS])
    await reader.bus.start()
    large = make_invocation("x" * 10_000_000, task=task)
    await reader.bus.publish(make_invocation(task=task), large, make_invocation(task=task))
    assert large in await reader.got(3)
    await reader.bus.stop()


async def test_an_event_above_the_limit_is_refused_by_name(quick: Topics, task: str) -> None:
    bus = quick.connect("writer")
    await bus.start()
    with pytest.raises(Reject, match="'invocations' exceeds 33554432 bytes or its topic's max"):
        await bus.publish(make_invocation("x" * 34_000_000, task=task))
    await bus.publish(make_invocation(task=task))
    await bus.stop()


async def test_encoded_messages_arrive_in_order_within_their_key(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [INVOCATIONS])
    await reader.bus.start()
    calls = [make_invocation("x" * 2000 + str(n), task=task) for n in range(400)]
    messages = [reader.bus.to_message(call) for call in calls]
    await reader.bus.publish_encoded(messages)
    assert await reader.got(400) == calls
    first = next(record for record in reader.records if record.key == task.encode())
    assert dict(first.headers) == dict(messages[0].headers)
    await reader.bus.stop()


async def test_a_key_has_the_partition_that_kafkas_own_clients_give_it(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [INVOCATIONS])
    await reader.bus.start()
    call = make_invocation(task=task)
    await quick.send_raw(INVOCATIONS.name, encode(call), key=task.encode())
    await reader.bus.publish(call)
    await reader.got(2)
    theirs = DefaultPartitioner()(task.encode(), list(range(INVOCATIONS.partitions)), [])
    assert {record.partition for record in reader.records if record.key == task.encode()} == {theirs}
    await reader.bus.stop()


async def test_a_reader_that_joins_late_gets_what_another_has_not_handled_yet(task: str) -> None:
    async with BUSES["memory"]() as topics:
        await topics.connect("writer").publish(*[make_promotion(task=task) for _ in range(3)])
        reader = Reader(topics.connect("reader"), task, [PROMOTIONS])
        await reader.bus.start()
        assert len(await reader.got(3)) == 3
        await reader.bus.stop()


async def test_memory_forgets_what_all_have_handled_and_keeps_the_rest(task: str) -> None:
    topics = MemoryTopics()
    settings = BusSettings(bootstrap="memory", group_prefix=None)
    first, second = (Reader(MemoryBus(topics, settings, name), task, [DRIFT, PROMOTIONS]) for name in ("a", "b"))
    await first.bus.start()
    writer = MemoryBus(topics, settings, "writer")
    await writer.publish(*[make_promotion(task=task, minutes=n) for n in range(2500)])
    await first.got(2500)
    assert len(topics) == 2500
    await second.bus.start()
    assert await second.got(2500) == first.events
    await asyncio.wait_for(second.bus.stop(), SECONDS)
    await asyncio.wait_for(first.bus.stop(), SECONDS)
    assert len(topics) == 0
    with pytest.raises(RetryLater):
        await first.bus.publish(make_promotion(task=task))


async def test_who_is_busy_with_one_topic_keeps_nothing_of_the_others(task: str) -> None:
    topics = MemoryTopics()
    settings = BusSettings(bootstrap="memory", group_prefix=None)
    busy = Reader(MemoryBus(topics, settings, "busy"), task, [PROMOTIONS])
    reader = Reader(MemoryBus(topics, settings, "reader"), task, [INVOCATIONS, PROMOTIONS])
    writer = MemoryBus(topics, settings, "writer")
    await reader.bus.start()
    story = [event for n in range(50) for event in (make_invocation(f"call {n}", task=task), make_promotion(task=task))]
    for event in story:
        await writer.publish(event)
    assert await reader.got(100) == story
    await wait_until(lambda: len(topics) == 50)
    await busy.bus.start()
    assert await busy.got(50) == story[1::2]
    await reader.bus.stop()
    await busy.bus.stop()
    assert len(topics) == 0


async def test_who_is_expected_misses_nothing_that_others_handle_before_it_begins(task: str) -> None:
    topics = MemoryTopics()
    settings = BusSettings(bootstrap="memory", group_prefix=None)
    late_bus = MemoryBus(topics, settings, "late")
    late_bus.expect([PROMOTIONS])
    early = Reader(MemoryBus(topics, settings, "early"), task, [PROMOTIONS])
    await early.bus.start()
    story = [make_promotion(task=task, minutes=n) for n in range(10)]
    await MemoryBus(topics, settings, "writer").publish(*story)
    assert await early.got(10) == story
    late = Reader(late_bus, task, [PROMOTIONS])
    await late.bus.start()
    assert await late.got(10) == story
    await early.bus.stop()
    await late.bus.stop()
    assert len(topics) == 0


async def test_calls_beyond_the_limit_are_taken_once_the_others_are_handled(task: str) -> None:
    topics = MemoryTopics(max_call_bytes=20_000)
    settings = BusSettings(bootstrap="memory", group_prefix=None)
    reader = Reader(MemoryBus(topics, settings, "reader"), task, [INVOCATIONS, PROMOTIONS])
    writer = MemoryBus(topics, settings, "writer")
    calls = [make_invocation("x" * 8000, task=task) for _ in range(4)]
    with pytest.raises(NotDelivered) as refused:
        await writer.publish(*calls)
    assert refused.value.missing == (3,)
    await writer.publish(make_promotion(task=task))
    await reader.bus.start()
    await reader.got(4)
    await wait_until(lambda: len(topics) == 0)
    await writer.publish(calls[3])
    assert (await reader.got(5))[4] == calls[3]
    await reader.bus.stop()


async def test_of_what_nobody_reads_the_latest_are_kept() -> None:
    topics = MemoryTopics()
    for n in range(5000):
        topics.append(BusMessage(DEAD_LETTERS, b"%d" % n))
    assert len(topics) < 2500
    reader = object()
    topics.join(reader, [DEAD_LETTERS])
    records, _ = await topics.read(reader, 10_000)
    assert [record.value for record in records] == [b"%d" % n for n in range(5000 - len(records), 5000)]


async def test_what_is_refused_is_named_and_the_rest_arrives(quick: Topics, task: str) -> None:
    reader = Reader(quick.connect("reader"), task, [INVOCATIONS])
    await reader.bus.start()
    good, large = make_invocation(task=task), make_invocation("x" * 34_000_000, task=task)
    with pytest.raises(Undeliverable, match="exceeds 33554432 bytes") as caught:
        await reader.bus.publish(good, large, good)
    assert caught.value.rejected == (1,)
    assert await reader.got(2) == [good, good]
    await reader.bus.stop()


async def test_a_trace_continues_at_the_consumer_and_in_what_it_publishes(quick: Topics, task: str) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    bus = quick.connect("traced", tracer=tracer)
    seen = asyncio.Event()

    async def answer(records: Sequence[Record]) -> None:
        for event in await bus.decode_events(records):
            if event.task == task and event.id == asked.id:
                await bus.publish(make_promotion("collected", task=task))
            elif event.task == task:
                seen.set()

    bus.consume([PROMOTIONS], answer)
    await bus.start()
    asked = make_promotion(task=task)
    with tracer.start_as_current_span("agent") as agent:
        await bus.publish(asked)
    await asyncio.wait_for(seen.wait(), SECONDS)
    await bus.stop()
    spans = [span for span in exporter.get_finished_spans() if span.name == "process traced"]
    traces = [span.context.trace_id for span in spans if span.context is not None]
    assert traces == [agent.get_span_context().trace_id] * 2
    assert spans[0].parent is not None
    assert spans[0].parent.span_id == agent.get_span_context().span_id
    assert spans[0].attributes is not None
    assert spans[0].attributes["messaging.batch.message_count"] == 1
    provider.shutdown()
