"""How long `understudies status` takes beside a running `up` with many tasks and calls.

Fills a data folder with students in force and calls made up by the store itself, starts `understudies up` on it, and
asks for the status of all tasks and for the story of one, as a user does: a command of its own. The last line is one
JSON object. With `--keep FOLDER` the folder is used again.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.promoted_student import write_promoted_student

from understudies.budget.app import create_app
from understudies.budget.settings import BudgetSettings
from understudies.events import Invocation, Message, Promotion, Request, Response, encode, fingerprint, new_id, usd
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.rules.rules import Rules
from understudies.runtime.settings import BusSettings
from understudies.runtime.snapshots import SnapshotStore
from understudies.runtime.store import Store

FILL = """
INSERT INTO invocations (id, at, task, origin, audits, served_by, model, student, request, response, usage, cost_usd,
    latency_ms, confidence, route, fingerprint)
SELECT concat('call-', toString(number)), now64(6) - toIntervalMicrosecond(({calls:UInt64} - number) * {pause:UInt64}),
    concat('task-', toString(number % {tasks:UInt32})), 'live', NULL, if(by_student, 'student', 'teacher'),
    'gpt-4o-mini',
    if(by_student, concat('task-', toString(number % {tasks:UInt32}), '@1'), NULL),
    concat('{"messages":[{"role":"user","content":"', hex(SHA256(toString(key))), '"}]}'),
    concat('{"message":{"role":"assistant","content":"label ', toString(key % 9), '"}}'),
    (100, 5, 0, (0, 0, 0, 0, 0, '', NULL)), 0.01, 10,
    if(by_student, 0.9, NULL),
    (if(by_student, 'promoted', 'control'), 0.8, 0.5, 0.05, 0.0002, false, false, false),
    lower(hex(SHA256(toString(key))))
FROM (SELECT number, intDiv(number, {tasks:UInt32}) % 2 = 0 AS by_student, number % 300000 AS key
    FROM numbers({calls:UInt64}))
"""
DAYS = 14
INPUTS_PER_TASK = 2000
"""Distinct inputs of each task that the budget knows, in its snapshot."""


async def fill(folder: Path, calls: int, tasks: int) -> None:
    """Write the calls and a student in force for every second task, all with the files of one that was trained."""
    if (folder / "store").exists():
        return
    trained = await write_promoted_student(folder)
    store = await Store.open(f"chdb://{folder / 'store'}")
    try:
        await store.migrate()
        pause = DAYS * 86_400_000_000 // calls
        await store.command(FILL, {"calls": calls, "tasks": tasks, "pause": pause})
        at = datetime.now(UTC) - timedelta(days=DAYS)
        promotions = [stage for task in range(0, tasks, 2) for stage in story_of(f"task-{task}", at, trained)]
        await store.insert("promotions", [encode(stage) for stage in promotions])
    finally:
        await store.close()
    write_budget(folder, tasks, at, promotions)


def story_of(task: str, at: datetime, trained: Promotion) -> list[Promotion]:
    """The stages of a student in force."""
    return [
        Promotion.model_validate(
            {
                "id": f"{stage}-{task}",
                "at": at + timedelta(minutes=step),
                "task": task,
                "student": f"{task}@1",
                "stage": stage,
                "reason": "made up",
                "dataset": trained.dataset,
                "artifact": trained.artifact,
                "threshold": trained.threshold,
                "share": 1.0 if stage == "promoted" else 0.0,
            }
        )
        for step, stage in enumerate(("authorised", "collected", "trained", "qualified", "promoted"))
    ]


def write_budget(folder: Path, tasks: int, at: datetime, promotions: list[Promotion]) -> None:
    """Write the budget's snapshot, so that `up` need not fold all calls first, which takes it minutes."""
    bus = KafkaBus(BusSettings(bootstrap="nowhere:0"), "budget")
    budget = create_app(BudgetSettings(), bus=bus, rules=Rules(), new_id=new_id)
    for number in range(tasks * INPUTS_PER_TASK):
        request = Request(messages=(Message(role="user", content=f"request {number}"),))
        call = Invocation(
            id=f"folded-{number}",
            at=at + timedelta(days=DAYS) * (number / (tasks * INPUTS_PER_TASK)),
            task=f"task-{number % tasks}",
            request=request,
            response=Response(message=Message(role="assistant", content=f"label {number % 9}")),
            cost_usd=usd("0.01"),
            fingerprint=fingerprint(request),
        )
        budget.task_state(call.task).fold(call)
    for promotion in promotions:
        budget.task_state(promotion.task).fold(promotion)
    SnapshotStore(folder / "snapshots").save("budget", budget.state(), {}, "", datetime.now(UTC))


class Ran(NamedTuple):
    """The seconds and the seconds of CPU that a command took, and what it printed."""

    wall: float
    cpu: float
    output: str


def run(*words: str) -> Ran:
    """Run `understudies` to its end."""
    command = [sys.executable, "-m", "understudies.cli", *words]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"})
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Ran(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout)


def fetch(url: str) -> float:
    """Ask the running process; returns the seconds that it took."""
    began = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return time.perf_counter() - began


def start_up(folder: Path) -> "subprocess.Popen[bytes]":
    """Start `understudies up`, and wait until it says in its folder where it answers."""
    command = [sys.executable, "-m", "understudies.cli", "up", "--port", "0", "--data", str(folder)]
    # No student is trained meanwhile: the bench is about the status.
    calm = {"UNDERSTUDIES_BUDGET_MIN_EXAMPLES": "1000000", "UNDERSTUDIES_BUDGET_GROWTH": "1000"}
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--teacher-url", "http://127.0.0.1:9/v1"], stdout=log, stderr=log, env={**os.environ, **calm}
        )
    while not (folder / "up.json").exists():
        if process.poll() is not None:
            raise SystemExit(f"`understudies up` ended with {process.returncode}: {(folder / 'up.log').read_text()}")
        time.sleep(0.1)
    return process


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    began = time.perf_counter()
    process = start_up(folder)
    started = time.perf_counter() - began
    try:
        url = json.loads((folder / "up.json").read_bytes())["url"]
        wait_for_trials(f"{url}/status")
        command = [run("status", "--data", str(folder)) for _ in range(rounds)]
        story = [run("status", "--data", str(folder), "task-0") for _ in range(rounds)]
        server = [fetch(f"{url}/status") for _ in range(rounds)]
        console = [fetch(f"{url}/") for _ in range(rounds)]
        version = [run("--version") for _ in range(rounds)]
    finally:
        process.terminate()
        process.wait(timeout=60)
    stopped = run("status", "--data", str(folder))
    median = statistics.median
    return {
        "command_s": round(median(ran.wall for ran in command), 3),
        "command_fastest_s": round(min(ran.wall for ran in command), 3),
        "command_cpu_s": round(median(ran.cpu for ran in command), 3),
        "story_s": round(median(ran.wall for ran in story), 3),
        "server_s": round(median(server), 3),
        "server_fastest_s": round(min(server), 3),
        "console_s": round(median(console), 3),
        "console_fastest_s": round(min(console), 3),
        "version_s": round(median(ran.wall for ran in version), 3),
        "stopped_folder_s": round(stopped.wall, 3),
        "stopped_folder_cpu_s": round(stopped.cpu, 3),
        "up_started_s": round(started, 1),
        "lines": len(command[0].output.splitlines()),
    }


def wait_for_trials(url: str) -> None:
    """Wait until the evaluator has opened the trials of the students in force, which is work that it does once."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with urllib.request.urlopen(url) as answer:
            tasks = json.load(answer)["tasks"]
        if all(task["agreement"] for task in tasks if task["phase"] == "serving"):
            return
        time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="understudies-status-") as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(fill(folder, options.calls, options.tasks))
        result = {"calls": options.calls, "tasks": options.tasks, **measure(folder, options.rounds)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
