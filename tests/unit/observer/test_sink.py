"""Everything published is stored, once; what cannot be is set aside, alone."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from tests.support.observer_harness import ObserverHarness, run_observer
from tests.support.sample_events import START, event_ids, make_invocation, make_promotion

from understudies.events import Drift, GateDecision, Verdict, encode
from understudies.runtime.bus.dead_letters import DEAD_LETTERS


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[ObserverHarness]:
    async with run_observer(tmp_path) as scene:
        yield scene


async def send_raw(scene: ObserverHarness, topic: str, values: Sequence[bytes]) -> None:
    """One partition, so one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=scene.settings.bootstrap, linger_ms=50, max_batch_size=1 << 20)
    await producer.start()
    scene.in_flight.record_published(topic, len(values))
    for sent in [await producer.send(topic, value, partition=0) for value in values]:
        await sent
    await producer.stop()
    await scene.in_flight.wait_until_idle()


async def dead_letters(scene: ObserverHarness, n: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(DEAD_LETTERS, bootstrap_servers=scene.settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    letters = [(await consumer.getone()).value for _ in range(n)]
    await consumer.stop()
    return letters


def verdict(why: str = "same label") -> Verdict:
    return Verdict(
        id=event_ids(START), at=START, task="triage", invocation="i", student="triage@1", phase="shadow", agreed=True,
        score=1, judge="label", why=why, fingerprint="f",
    )  # fmt: skip


async def test_each_event_lands_in_its_table(scene: ObserverHarness) -> None:
    decision = GateDecision(
        id=event_ids(START), at=START, task="triage", student="triage@1", decision="promote", evidence={"n": 300}
    )
    drift = Drift(
        id=event_ids(START),
        at=START,
        task="triage",
        student="triage@1",
        tier="contract",
        confidence=0.99,
        statistic=101.5,
        audited=80,
    )
    tricky = verdict(why='{"type":"gate_decision"}')
    await scene.publish_and_wait(
        make_invocation(), verdict(), tricky, decision, drift, make_promotion("trained", artifact="file:///a")
    )
    tables = ("invocations", "verdicts", "gate_decisions", "promotions", "drift")
    assert {table: await scene.count(table) for table in tables} == {
        "invocations": 1,
        "verdicts": 2,
        "gate_decisions": 1,
        "promotions": 1,
        "drift": 1,
    }
    (row,) = await scene.store.query("SELECT decision, evidence FROM gate_decisions")
    assert row == {"decision": "promote", "evidence": '{"n":300}'}


async def test_events_delivered_twice_are_stored_once(scene: ObserverHarness) -> None:
    calls = [make_invocation(f"question {n}") for n in range(200)]
    await scene.publish_and_wait(*calls)
    await scene.publish_and_wait(*calls[50:], make_invocation("new"))
    assert await scene.count("invocations") == 201


BAD = {
    "not UTF-8": b'{"id":"\xff"}',
    "empty": b"",
    "an array": b"[]",
    "cut off": b'{"id":"x"',
    "without id": b'{"task":"triage","at":"2025-01-01T00:00:00Z"}',
    "without time": b'{"id":"x","task":"triage"}',
    "wrong time": b'{"id":"x","task":"triage","at":"yesterday"}',
    "nested 10,000 deep": b'{"id":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_line_does_not_take_its_batch_along(scene: ObserverHarness, bad: bytes) -> None:
    good = [encode(make_invocation(f"question {n}")) for n in range(60)]
    await send_raw(scene, "invocations", [*good[:30], bad, *good[30:]])
    assert await scene.count("invocations") == 60
    assert await dead_letters(scene, 1) == [bad]


_CALL = {"id": "x", "at": "2026-01-01T00:00:00Z", "task": "t", "request": {"messages": []}, "fingerprint": "f"}
COERCED = {
    "a number for a task": {**_CALL, "task": 7},
    "a task that is no name": {**_CALL, "task": "a/b"},
    "without a request": {key: value for key, value in _CALL.items() if key != "request"},
    "a request without messages": {**_CALL, "request": {}},
    "a text for a switch": {**_CALL, "free": "false"},
    "a list for an answer": {**_CALL, "response": [1]},
}


@pytest.mark.parametrize("bad", COERCED.values(), ids=COERCED.keys())
async def test_what_the_store_would_coerce_and_other_services_refuse_is_set_aside(
    scene: ObserverHarness, bad: dict[str, object]
) -> None:
    line = json.dumps(bad).encode()
    # In a batch of its own, which the store would take as it is.
    await send_raw(scene, "invocations", [line])
    assert await scene.count("invocations") == 0
    assert await dead_letters(scene, 1) == [line]


async def test_an_event_of_another_topic_is_decoded(scene: ObserverHarness) -> None:
    line = b'{"id": "x", "at": "2026-01-01T00:00:00Z", "task": 7}'
    for topic in ("verdicts", "promotions", "drift"):
        await send_raw(scene, topic, [line])
    assert [await scene.count(table) for table in ("verdicts", "promotions", "drift")] == [0, 0, 0]
    assert await dead_letters(scene, 3) == [line] * 3


async def test_a_line_that_only_the_store_refuses_is_found(scene: ObserverHarness) -> None:
    good = [encode(make_invocation(f"question {n}")) for n in range(40)]
    dear = encode(make_invocation("dear", cost_usd="1")).replace(b'"cost_usd":"1"', b'"cost_usd":"1e30"')
    await send_raw(scene, "invocations", [*good[:7], dear, *good[7:]])
    assert await scene.count("invocations") == 40
    assert await dead_letters(scene, 1) == [dear]


async def test_several_bad_lines_are_all_set_aside(scene: ObserverHarness) -> None:
    good = [encode(make_invocation(f"question {n}")) for n in range(50)]
    lines = [line for n, line in enumerate(good) for line in ((line, b"{bad %d" % n) if n % 10 == 0 else (line,))]
    await send_raw(scene, "invocations", lines)
    assert await scene.count("invocations") == 50
    assert sorted(await dead_letters(scene, 5)) == [b"{bad %d" % n for n in (0, 10, 20, 30, 40)]
