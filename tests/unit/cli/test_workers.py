"""Several processes that live and end together: real ones, as short as can be."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.commands import wait_until

from understudies.cli.workers import run_workers

ENVIRONMENT = dict(os.environ)
WAITS = """
import signal, sys, threading
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
signal.signal(signal.SIGHUP, lambda *_: open(sys.argv[1], "a").write("hangup\\n"))
open(sys.argv[1], "a").write("began\\n")
while not ended.wait(0.02): pass
open(sys.argv[1], "a").write("ended\\n")
"""


def worker(script: str, path: Path) -> list[str]:
    path.touch()
    return [sys.executable, "-S", "-c", script, str(path)]


def words(path: Path) -> list[str]:
    return path.read_text().split()


async def test_all_are_stopped_when_told_to(tmp_path: Path) -> None:
    places = [tmp_path / "1", tmp_path / "2"]
    stopping = asyncio.Event()
    running = asyncio.create_task(run_workers([worker(WAITS, place) for place in places], ENVIRONMENT, stopping))
    await wait_until(lambda: all(words(place) for place in places))
    stopping.set()
    assert await running == 0
    assert [words(place) for place in places] == [["began", "ended"]] * 2


async def test_a_hangup_reaches_all_of_them(tmp_path: Path) -> None:
    places = [tmp_path / "1", tmp_path / "2"]
    stopping = asyncio.Event()
    running = asyncio.create_task(run_workers([worker(WAITS, place) for place in places], ENVIRONMENT, stopping))
    await wait_until(lambda: all(words(place) for place in places))
    os.kill(os.getpid(), signal.SIGHUP)
    await wait_until(lambda: all("hangup" in words(place) for place in places))
    stopping.set()
    assert await running == 0


async def test_one_that_cannot_start_ends_all_with_its_code(tmp_path: Path) -> None:
    place = tmp_path / "1"
    failing = worker("import time, sys\nwhile not open(sys.argv[1]).read(): time.sleep(0.01)\nsys.exit(3)", place)
    async with asyncio.timeout(60):
        assert await run_workers([worker(WAITS, place), failing], ENVIRONMENT, asyncio.Event()) == 3
    assert words(place) == ["began", "ended"]


async def test_one_that_dies_later_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "1"
    dies = worker("import os, sys\nopen(sys.argv[1], 'a').write('began\\n')\nos.kill(os.getpid(), 9)", place)
    stopping = asyncio.Event()
    running = asyncio.create_task(run_workers([dies], ENVIRONMENT, stopping, min_uptime_s=0))
    await wait_until(lambda: len(words(place)) >= 3)
    stopping.set()
    await running
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert said[:2] == [f"worker {place} exited with -9, restarting it"] * 2


async def test_ctrl_c_while_they_stop_kills_them(tmp_path: Path) -> None:
    place = tmp_path / "1"
    stubborn = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: open(sys.argv[1], 'a').write('told '))\n"
    )
    stubborn += "open(sys.argv[1], 'a').write('began ')\nwhile True: time.sleep(60)"
    stopping = asyncio.Event()
    running = asyncio.create_task(run_workers([worker(stubborn, place)], ENVIRONMENT, stopping))
    await wait_until(lambda: words(place) == ["began"])
    stopping.set()
    await wait_until(lambda: words(place) == ["began", "told"])
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 128 + signal.SIGKILL
