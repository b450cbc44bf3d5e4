"""Several workers on one port: all serve, each keeps its own events, and one that dies is replaced."""

import os
import signal
import socket
import time
from pathlib import Path

from tests.support.outage import IN_FLIGHT, Traffic, arrived, line, router, spooled
from tests.support.process import Command, until
from tests.support.teacher import FakeTeacher

SOON_S = 10.0
"""A worker that ends so soon after its start is not started again: it would end again."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def workers(running: Command) -> list[int]:
    """The processes that it started and that live."""
    pid = running.process.pid
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def times(running: Command, words: str) -> int:
    """In how many lines words stand."""
    return sum(words in said for said in running.lines)


async def test_workers_share_the_port_and_what_reaches_one_reaches_all(tmp_path: Path) -> None:
    rules, data, port = tmp_path / "understudies.toml", tmp_path / "data", free_port()
    rules.write_text("[tasks.triage]\ncritical = true\n")
    async with line() as bus, FakeTeacher() as teacher:
        words = ("--workers", "2", "--port", str(port), "--rules", rules)
        async with router(data, teacher.url, bus.address, *words) as running:
            await until(lambda: times(running, "router runs: ") == 2)
            began = time.monotonic()
            traffic = Traffic(f"http://127.0.0.1:{port}/v1", connect_anew=True)
            async with traffic.running():
                await traffic.more(50)
                await bus.proxy.put("refused")
                await until(lambda: all(spooled(data / f"worker-{number}") for number in (1, 2)))
                rules.write_text("[tasks.triage]\ncritical = false\n")
                running.process.send_signal(signal.SIGHUP)
                await until(lambda: times(running, "are in force") == 2)
                await bus.proxy.put("open")
                await until(lambda: spooled(data) == 0)
            await until(lambda: time.monotonic() > began + SOON_S)
            os.kill(workers(running)[0], signal.SIGKILL)
            await running.said(r"worker .* ended with -9 and is started again")
            await until(lambda: times(running, "router runs: ") == 3)
            assert len(workers(running)) == 2
            after = Traffic(traffic.url, connect_anew=True)
            async with after.running():
                await after.more(50)
            assert await running.stopped() == 0, running.output
            assert running.lines.count("stopped") == 2
        found = await arrived(bus.address)
    assert traffic.bad + after.bad == []
    answered = {answer.id for answer in traffic.answers + after.answers}
    assert {id_ for ids in found.ids.values() for id_ in ids} == answered
    assert found.again <= IN_FLIGHT
    assert "Traceback" not in running.output
