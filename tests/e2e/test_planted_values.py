"""Secrets and personal data that agents send are nowhere afterwards: topics, store, Redis, files, logs, spans."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer
from redis.asyncio import Redis
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.commands import Command
from tests.support.datasets import INTENTS, TASK
from tests.support.redis_server import RedisServer
from tests.support.span_collector import SpanCollector

from understudies.client import Understudies
from understudies.events import PROMOTIONS, TOPICS, Promotion
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.settings import BusSettings
from understudies.runtime.store import Store
from understudies.testing.stack import Stack

PLANTED = (
    "ada.lovelace@analytical.example",
    "4242 4242 4242 4242",
    "DE89 3704 0044 0532 0130 00",
    "+44 20 7946 0958",
    "(212) 555-0147",
    "sk-proj-Zq8Xw2Lm5Nv7Rb4Tk9Yd3Fg6Hj1",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "hunter2-in-a-field",
    "hunter2-in-arguments",
    "k3y-in-a-result-of-a-tool",
)
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{PLANTED[8]}\n-----END PRIVATE KEY-----"
HARMLESS = "zebrafish"
"""In every text, so that each place is seen to hold what was sent."""
CALLS = 90


def planted_text(number: int) -> str:
    forms = INTENTS[list(INTENTS)[number % len(INTENTS)]]
    value = PLANTED[number % 8]
    return f"{forms[number // 3 % len(forms)]} {number} {HARMLESS}, I am {value}"


def answer(text: str) -> str:
    return next((intent for intent, forms in INTENTS.items() if text.startswith(forms)), f"{HARMLESS} {text}")


def planted_body(number: int) -> dict[str, Any]:
    tool = {"id": f"call-{number}", "type": "function"}
    arguments = json.dumps({"card": PLANTED[1], "note": PRIVATE_KEY, "db_password": PLANTED[10]})
    return {
        "model": "gpt-4o",
        "temperature": 0,
        "user": PLANTED[0],
        "metadata": {"password": PLANTED[9], "contact": PLANTED[3]},
        "messages": [
            {"role": "system", "content": f"Name the intent. {HARMLESS} {PLANTED[5]}"},
            {"role": "user", "content": PRIVATE_KEY},
            {"role": "assistant", "tool_calls": [{**tool, "function": {"name": "look_up", "arguments": arguments}}]},
            {
                "role": "tool",
                "tool_call_id": tool["id"],
                "content": json.dumps(
                    {"mail": PLANTED[0], "card": PLANTED[1], "body": json.dumps({"api_key": PLANTED[11]})}
                ),
            },
            {"role": "user", "content": f"another question, {number} {' '.join(PLANTED[:8])}"},
        ],
    }


async def ask(url: str, body: dict[str, Any], task: str) -> None:
    headers = {"x-understudies-task": task, "authorization": f"Bearer {PLANTED[5]}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions", json=body, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()


def intent_body(number: int) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Name the intent."}, {"role": "user", "content": planted_text(number)}]
    return {"model": "gpt-4o", "temperature": 0, "messages": messages}


def found_in(held: bytes) -> list[str]:
    """The planted values that some bytes hold, as they are or as JSON has them."""
    return [value for value in PLANTED if value.encode() in held or json.dumps(value)[1:-1].encode() in held]


def unpacked(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """All files below a folder, and what those that are compressed hold."""
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            yield path, raw
            if raw[:2] == b"\x1f\x8b":
                yield path, gzip.decompress(raw)
            elif raw[:1] == b"\x78":
                yield path, zlib.decompress(raw)


async def read_topics(bootstrap: str) -> bytes:
    names = [*(topic.name for topic in TOPICS), DEAD_LETTERS]
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    held = b""
    try:
        while batch := await consumer.getmany(timeout_ms=3000):
            for records in batch.values():
                held += b"\n".join(b"%b %b %r" % (r.key or b"", r.value or b"", r.headers) for r in records)
    finally:
        await consumer.stop()
    return held


async def read_store(url: str, calls: int) -> bytes:
    store = await Store.open(url)
    try:
        async with asyncio.timeout(120):
            while (await store.query("SELECT count() AS n FROM invocations FINAL"))[0]["n"] < calls:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        tables = [
            row["name"]
            for row in await store.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
        ]
        rows = {table: await store.query(f"SELECT * FROM `{table}`") for table in tables}
    finally:
        await store.close()
    return json.dumps(rows, default=str, ensure_ascii=False).encode()


async def read_redis(url: str) -> bytes:
    client = Redis.from_url(url)
    try:
        keys = [key async for key in client.scan_iter()]
        return b"\n".join([*keys, *[await client.dump(key) or b"" for key in keys]])
    finally:
        await client.aclose()


async def authorise(bootstrap: str) -> None:
    """Have a student trained on what was recorded."""
    bus = KafkaBus(BusSettings(bootstrap=bootstrap, group_prefix=""), "outside")
    await bus.start()
    now = datetime.now(UTC)
    authorised = {"examples": CALLS}
    await bus.publish(
        Promotion(id="authorised", at=now, task=TASK, student=f"{TASK}@1", stage="authorised", evidence={**authorised})
    )
    await bus.stop()


async def test_planted_values_are_nowhere(tmp_path: Path) -> None:
    places: dict[str, bytes] = {}
    with SpanCollector() as collector:
        async with ClickHouseServer() as clickhouse, RedisServer() as redis:
            env = {"UNDERSTUDIES_TELEMETRY_OTLP_ENDPOINT": collector.url, "UNDERSTUDIES_TRAINER_ENCODER": "0"}
            rules = f"[tasks.{TASK}]\ndaily_budget_usd = 1000\n[tasks.tools]\ndaily_budget_usd = 1000\n"
            async with Stack(
                tmp_path, teacher=answer, store_url=clickhouse.url(), redis_url=redis.url, rules=rules, env=env
            ) as stack:
                for number in range(CALLS):
                    await ask(stack.url, intent_body(number), TASK)
                for number in range(8):
                    await ask(stack.url, planted_body(number), "tools")
                async with Understudies(stack.bootstrap) as sdk:
                    # Not the password, which is known by its field's name alone.
                    sdk.shadow(answer, "by-sdk")(f"question {HARMLESS} {' '.join(PLANTED[:8])} {PRIVATE_KEY}")
                places["store"] = await read_store(clickhouse.url(), CALLS + 9)
                await authorise(stack.bootstrap)
                events = await stack.wait_events(PROMOTIONS, 3, seconds=180)
                assert [event.stage for event in events if isinstance(event, Promotion)][1] == "collected"
                places["topics"] = await read_topics(stack.bootstrap)
                places["redis"] = await read_redis(redis.url)
                away = {"UNDERSTUDIES_BUS_BOOTSTRAP": "127.0.0.1:1", "UNDERSTUDIES_ROUTER_PORT": "0"}
                alone = stack.make_process("router", data=tmp_path / "alone", env=away)
                await alone.start()
                url = (await alone.wait_ready(r"listens on (http://\S+/v1)"))[1]
                await ask(url, planted_body(99), "tools")
                async with asyncio.timeout(60):
                    while not any((tmp_path / "alone" / "spool").glob("*")):  # noqa: ASYNC110 - another process
                        await asyncio.sleep(0.1)
                assert await alone.terminate() == 0
                assert set((await stack.stop()).values()) == {0}
                outputs = [alone.output, *(process.output for process in stack.processes.values())]
                places["logs"] = "\n".join(outputs).encode()
    places["spans"] = json.dumps([span._asdict() for span in collector.spans], default=str).encode()
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(
            json.dumps({"prompt": planted_text(number), "response": answer(planted_text(number))}) + "\n"
            for number in range(CALLS)
        )
    )
    report = tmp_path / "report.html"
    async with Command("backtest", log, "--html", report) as backtest:
        assert await backtest.wait_exit() == 0, backtest.output
    log.unlink()
    places["backtest"] = backtest.output.encode()
    for path, held in unpacked(tmp_path):
        places[str(path.relative_to(tmp_path))] = places.get(str(path.relative_to(tmp_path)), b"") + held
    assert {place: found for place, held in places.items() if (found := found_in(held))} == {}
    # Each place holds what was sent, so that a value would have been seen.
    seen = {place.partition("/")[0] for place, held in places.items() if HARMLESS.encode() in held}
    assert {"store", "topics", "artifacts", "alone"} <= seen
    assert b"tools" in places["spans"]
    assert report.exists()
