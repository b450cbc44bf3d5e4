"""Events that wait on disk while the broker is away."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.sightings import invocations
from tests.support.tansu_broker import TansuBroker

from understudies.client import Understudies
from understudies.client.spool import BusMessage, EventSpool


@pytest.fixture
async def tansu() -> AsyncIterator[TansuBroker]:
    async with TansuBroker() as running:
        yield running


async def flushed(client: Understudies) -> bool:
    return await asyncio.to_thread(client.flush, 20)


def files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.iterdir())]


async def contents(tansu: TansuBroker, count: int) -> list[object]:
    return [event.request.messages[0].content for event in await invocations(tansu, count)]


async def test_calls_outlast_the_process_and_are_delivered_first_by_the_next(
    tansu: TansuBroker, tmp_path: Path
) -> None:
    tansu.stop()
    first = Understudies(tansu.bootstrap, spool=tmp_path)
    echo = first.shadow(str.upper, "t")
    for number in range(250):
        echo(f"call {number}")
    assert await flushed(first)
    await asyncio.to_thread(first.close)
    assert first.losses == {}
    assert len(files(tmp_path)) == 1
    await tansu.start()
    second = Understudies(tansu.bootstrap, spool=tmp_path)
    second.shadow(str.upper, "t")("and one more")
    assert await flushed(second)
    expected = [*(f"call {number}" for number in range(250)), "and one more"]
    assert await contents(tansu, 251) == expected
    await asyncio.to_thread(second.close)
    assert files(tmp_path) == []


async def test_what_waits_is_delivered_when_the_broker_is_back_without_another_call(
    tansu: TansuBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tansu.stop()
    client = Understudies(tansu.bootstrap, spool=tmp_path)
    client.shadow(str.upper, "t")("while it is away")
    assert await flushed(client)
    assert "calls wait on disk" in caplog.text
    await tansu.start()
    async with asyncio.timeout(20):
        assert await contents(tansu, 1) == ["while it is away"]
    await asyncio.to_thread(client.close)


async def test_a_broker_that_answers_nothing_is_not_waited_for(tansu: TansuBroker, tmp_path: Path) -> None:
    client = Understudies(tansu.bootstrap, spool=tmp_path)
    echo = client.shadow(str.upper, "t")
    echo("before")
    assert await flushed(client)
    tansu.pause()
    echo("while it hangs")
    assert await flushed(client)
    tansu.resume()
    await asyncio.to_thread(client.close)
    again = Understudies(tansu.bootstrap, spool=tmp_path)
    again.shadow(str.upper, "t")("after")
    assert await flushed(again)
    await asyncio.to_thread(again.close)
    assert set(await contents(tansu, 3)) >= {"before", "while it hangs"}


async def test_a_full_spool_refuses_and_says_so(
    tansu: TansuBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tansu.stop()
    caplog.set_level(logging.WARNING)
    client = Understudies(tansu.bootstrap, spool=tmp_path, spool_bytes=3000)
    echo = client.shadow(str.upper, "t")
    for number in range(20):
        echo(f"call {number}")
    assert await flushed(client)
    lost = client.losses["refused"]
    assert 0 < lost < 20
    await asyncio.to_thread(client.close)
    (kept,) = files(tmp_path)
    assert len(kept) <= 3000
    assert len(kept.splitlines()) == 20 - lost
    assert "the spool is full" in caplog.text


def message(number: int) -> BusMessage:
    return BusMessage("topic", b"key", f"{number}".encode(), [("ce_id", f"{number}".encode())])


def test_a_line_that_was_half_written_costs_nothing_but_itself(tmp_path: Path) -> None:
    spool = EventSpool(tmp_path, 10_000)
    assert spool.append([message(1), message(2)]) == 2
    spool.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b'["topic", "ke')
    again = EventSpool(tmp_path, 10_000)
    assert not again.is_empty
    assert again.read() == [message(1), message(2)]
    again.remove()
    assert again.is_empty
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_holds_is_left_to_it(tmp_path: Path) -> None:
    holder, other = EventSpool(tmp_path, 10_000), EventSpool(tmp_path, 10_000)
    holder.append([message(1)])
    assert other.is_empty
    other.append([message(2)])
    assert (holder.read(), other.read()) == ([message(1)], [message(2)])
    holder.close()
    other.remove()
    other.close()
    heir = EventSpool(tmp_path, 10_000)
    assert heir.read() == [message(1)]
    heir.close()


def test_messages_are_read_in_chunks_and_in_order(tmp_path: Path) -> None:
    spool = EventSpool(tmp_path, 1_000_000)
    spool.append([message(number) for number in range(250)])
    read = []
    while not spool.is_empty:
        read += spool.read()
        spool.remove()
    assert read == [message(number) for number in range(250)]
    spool.append([message(7)])
    assert spool.read() == [message(7)]
    spool.remove()
    spool.close()
    assert list(tmp_path.iterdir()) == []
