"""Several workers on one port: all serve, each keeps its own events, and one that dies is replaced."""

import os
import signal
import socket
import time
from pathlib import Path

from tests.support.commands import Command, wait_until
from tests.support.fake_teacher import FakeTeacher
from tests.support.outage import (
    IN_FLIGHT,
    SteadyTraffic,
    open_broker_line,
    read_received_events,
    router_command,
    spool_size,
)

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
    async with open_broker_line() as bus, FakeTeacher() as teacher:
        words = ("--workers", "2", "--port", str(port), "--rules", rules)
        async with router_command(data, teacher.url, bus.address, *words) as running:
            await wait_until(lambda: times(running, "router runs: ") == 2)
            began = time.monotonic()
            traffic = SteadyTraffic(f"http://127.0.0.1:{port}/v1", new_connections=True)
            async with traffic.running():
                await traffic.wait_more_answers(50)
                await bus.proxy.set_state("refused")
                await wait_until(lambda: all(spool_size(data / f"worker-{number}") for number in (1, 2)))
                rules.write_text("[tasks.triage]\ncritical = false\n")
                running.process.send_signal(signal.SIGHUP)
                await wait_until(lambda: times(running, "are in force") == 2)
                await bus.proxy.set_state("open")
                await wait_until(lambda: spool_size(data) == 0)
            await wait_until(lambda: time.monotonic() > began + SOON_S)
            os.kill(workers(running)[0], signal.SIGKILL)
            await running.wait_for_line(r"worker .* exited with -9, restarting it")
            await wait_until(lambda: times(running, "router runs: ") == 3)
            assert len(workers(running)) == 2
            after = SteadyTraffic(traffic.url, new_connections=True)
            async with after.running():
                await after.wait_more_answers(50)
            assert await running.terminate() == 0, running.output
            assert running.lines.count("stopped") == 2
        found = await read_received_events(bus.address)
    assert traffic.errors + after.errors == []
    answered = {answer.id for answer in traffic.answers + after.answers}
    assert {id_ for ids in found.ids.values() for id_ in ids} == answered
    assert found.duplicates <= IN_FLIGHT
    assert "Traceback" not in running.output
