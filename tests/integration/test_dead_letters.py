"""`understudies dlq` against a real broker: what is listed, shown and replayed is what could not be decoded."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from tests.support.sample_events import make_invocation
from tests.support.tansu_broker import TansuBroker, read_events
from typer.testing import CliRunner

from understudies.cli.main import app
from understudies.events import INVOCATIONS, encode
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.settings import BusSettings


@pytest.fixture
async def broker() -> AsyncIterator[TansuBroker]:
    async with TansuBroker() as running:
        yield running


async def run_command(*arguments: str) -> tuple[int, str]:
    """What a command ends with and says."""
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return result.exit_code, result.output


async def fill(broker: TansuBroker) -> bytes:
    """Send two records to the dead letters: one that no version can decode, and one that this version can by now."""
    late = encode(make_invocation("late"))
    bus = KafkaBus(BusSettings(bootstrap=broker.bootstrap, group_prefix=None), "observer")
    await bus.start()
    await bus.decode_events(
        [Record("invocations", 1, 7, b"triage", b'{"id": "\xff'), Record("drift", 0, 8, None, late)]
    )
    await bus.stop()
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    headers = [("reason", b"usage: from a newer version"), ("original-topic", b"invocations")]
    headers += [("original-partition", b"2"), ("original-offset", b"9")]
    await producer.send_and_wait(DEAD_LETTERS, late, key=b"triage", headers=headers)
    await producer.stop()
    return late


async def test_letters_are_listed_shown_and_replayed(broker: TansuBroker) -> None:
    late = await fill(broker)
    where = ("--bootstrap", broker.bootstrap)

    status, out = await run_command("dlq", "list", "--json", *where)
    listed = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert status == 0
    assert [(one["id"], one["topic"], one["place"]) for one in listed] == [
        ("0:0", "invocations", "1:7"),
        ("0:1", "drift", "0:8"),
        ("0:2", "invocations", "2:9"),
    ]
    assert listed[2]["reason"] == "usage: from a newer version"
    status, out = await run_command("dlq", "list", "--topic", "drift", *where)
    assert status == 0
    assert "1 dead letters:" in out

    status, out = await run_command("dlq", "show", "0:2", *where)
    assert (status, "can be decoded: replay it" in out, late.decode() in out) == (0, True, True)
    status, out = await run_command("dlq", "show", "0:0", *where)
    assert (status, "\\xff" in out) == (0, True)

    status, out = await run_command("dlq", "replay", "--all", "--dry-run", *where)
    assert (status, "would replay 1, left 2" in out) == (1, True)
    status, out = await run_command("dlq", "replay", "0:2", *where)
    assert (status, "replayed 1, left 0" in out) == (0, True)
    (event,) = await read_events(broker.bootstrap, INVOCATIONS, 1)
    assert encode(event) == late


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("replay",), "name the records to replay"),
        (("replay", "0:1", "--all"), "name the records to replay"),
        (("show", "0:99"), "no dead letter '0:99'"),
    ],
)
async def test_what_is_not_there_is_named(broker: TansuBroker, arguments: tuple[str, ...], says: str) -> None:
    await fill(broker)
    status, out = await run_command("dlq", *arguments, "--bootstrap", broker.bootstrap)
    assert status != 0
    assert says in out


async def test_without_a_broker_the_remedy_is_told() -> None:
    status, out = await run_command("dlq", "list")
    assert (status != 0, "--bootstrap HOST:PORT" in out) == (True, True)
