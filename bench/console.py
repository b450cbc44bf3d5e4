"""How long the console's pages take on a store of many calls, and what an open console costs the observer's sink.

Fills a store with calls and verdicts that it makes up itself, asks the console for each page, then inserts batches in
turns with nobody looking and with somebody who loads a page every few seconds. The last line is one JSON object. With
`--keep FOLDER` the store is used again.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.asgi import ask_app
from tests.support.sample_events import make_invocation

from understudies.console.endpoint import create_pages
from understudies.console.server import ConsoleApp
from understudies.console.source import ConsoleSource
from understudies.events import Promotion, Stage, encode
from understudies.observer.totals import refresh_totals
from understudies.runtime.clock import SystemClock
from understudies.runtime.rules.api_keys import key_hash
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.tenant import TenantRules
from understudies.runtime.store import Store
from understudies.status.settings import StatusSettings
from understudies.status.stored_standings import StoredStandings

CALLS = """
INSERT INTO invocations (id, at, task, tenant, origin, served_by, model, student, request, response, cost_usd,
    latency_ms, confidence, route, fingerprint, stored_at) SETTINGS insert_allow_materialized_columns = 1
SELECT concat('call-', toString(number)),
    now64(6) - toIntervalMicrosecond(({calls:UInt64} - number) * {pause:UInt64}) AS at,
    task, if(number % 997 < 130, 'acme', 'default'), 'live',
    if(by_student, 'student', 'teacher'), 'gpt-4o-mini', if(by_student, concat(task, '@1'), NULL),
    concat('{"messages":[{"role":"user","content":"', hex(SHA256(toString(number))), repeat(' order status', 60),
        '"}]}'),
    concat('{"message":{"role":"assistant","content":"label ', toString(number % 9), '"}}'), 0.01, 10,
    if(by_student, 0.9, NULL), (if(by_student, 'promoted', 'control'), 0.3, 0.5, 0.05, 0.0002, false, false, false),
    lower(hex(SHA256(toString(number)))), at
FROM (SELECT number, concat('task-', toString(number % {tasks:UInt32})) AS task,
    intDiv(number, {tasks:UInt32}) % 2 = 0 AS by_student FROM numbers({calls:UInt64}))
"""
VERDICTS = """
INSERT INTO verdicts (id, at, task, invocation, student, phase, agreed, score, judge, why, confidence, fingerprint,
    answer_class, student_answer, student_class, counts, stored_at) SETTINGS insert_allow_materialized_columns = 1
SELECT concat('v-', id), at, task, id, concat(task, '@1'), 'shadow', same, same, 'label',
    if(same, NULL, 'teacher a, student b'), (cityHash64(id) % 100) / 100, fingerprint, concat('label ', toString(kind)),
    if(same, NULL, concat('label ', toString(8 - kind))), if(same, NULL, concat('label ', toString(8 - kind))), true, at
FROM (SELECT id, at, task, fingerprint, cityHash64(id) % 50 != 0 AS same, cityHash64(id) % 9 AS kind
    FROM invocations WHERE cityHash64(id, 1) % {every:UInt32} = 0)
"""
COUNTS = "SELECT (SELECT count() FROM invocations) AS calls, (SELECT count() FROM verdicts) AS verdicts"
DAYS = 90
BATCH = 2_000
LOOK_S = 5.0
"""Somebody who looks loads a page this often."""


async def fill(store: Store, calls: int, tasks: int) -> None:
    """Write calls over 90 days, a verdict on every fifth, and a student in force of every task."""
    pause = DAYS * 86_400_000_000 // calls
    await store.command(CALLS, {"calls": calls, "tasks": tasks, "pause": pause})
    await store.command(VERDICTS, {"every": 5})
    stages: tuple[Stage, ...] = ("authorised", "collected", "trained", "qualified", "promoted")
    began = datetime.now(UTC) - timedelta(days=DAYS - 1)
    events = [
        Promotion(
            id=f"{stage}-{task}",
            at=began + timedelta(minutes=step),
            task=f"task-{task}",
            student=f"task-{task}@1",
            stage=stage,
            threshold=0.3 if step > 2 else None,
            share=0.5 if stage == "promoted" else 0.0,
        )
        for task in range(tasks)
        for step, stage in enumerate(stages)
    ]
    await store.insert("promotions", [encode(event) for event in events])


def create_console(store: Store) -> ConsoleApp:
    """Return the console of an observer alone."""
    rules = Rules(tenants={"acme": TenantRules(keys=(key_hash(TENANT_KEY),))})
    source = ConsoleSource(StoredStandings(store, rules, "a bench"), store, SystemClock(), lambda: rules, steers=False)
    return ConsoleApp(create_pages(source, StatusSettings().create_access("127.0.0.1", "token", source.rules)))


PAGES = {
    "overview": "/",
    "task": "/task?name=task-0",
    "student": "/student?task=task-0&name=task-0%401",
    "disagreements": "/disagreements?task=task-0",
    "search": "/disagreements?task=task-0&text=label+3",
    "search_requests": "/disagreements?task=task-0&text=nothing+of+that+kind",
    "settings": "/settings",
    "services": "/services",
    "tenant_tasks": "/",
    "tenant_task": "/task?name=task-0",
}
TENANT_KEY = "sk-understudies-0a1B2c3D4e5F6g7H8i9J-acme"
AS_TENANT = {"authorization": f"Bearer {TENANT_KEY}"}


async def load(app: ConsoleApp, page: str) -> tuple[float, float]:
    """Load a page; returns its milliseconds of server time, and of processor time on all threads."""
    began, cpu = time.perf_counter(), time.process_time()
    answer = await ask_app(app, PAGES[page], headers=AS_TENANT if page.startswith("tenant") else None)
    if answer.status != 200:
        raise SystemExit(f"{page} answered with {answer.status}: {answer.text[:300]}")
    return (time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000


async def measure_pages(store: Store, rounds: int) -> dict[str, Any]:
    """Return the first, the median and the fastest time of each page in milliseconds."""
    app = create_console(store)
    found = {page: [await load(app, page) for _ in range(rounds + 1)] for page in PAGES}
    return {
        page: {
            "first_ms": round(loads[0][0], 1),
            "median_ms": round(statistics.median(took for took, _ in loads[1:]), 1),
            "fastest_ms": round(min(took for took, _ in loads[1:]), 1),
            "median_cpu_ms": round(statistics.median(cpu for _, cpu in loads[1:]), 1),
        }
        for page, loads in found.items()
    }


async def measure_sink(store: Store, turns: int, seconds: float) -> dict[str, float]:
    """Return the calls stored a second, in turns without and with somebody who looks, and their ratio."""
    app = create_console(store)
    lines = [encode(make_invocation(f"request {number}", task="sink")) for number in range(BATCH)]
    await load(app, "overview")
    closed, opened = list[float](), list[float]()
    for turn in range(2 * turns):
        looking = asyncio.ensure_future(_look(app)) if turn % 2 else None
        stored, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            await store.insert("invocations", lines)
            stored += BATCH
        (opened if looking else closed).append(stored / (time.perf_counter() - began))
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
    return {
        "closed_per_s": round(statistics.median(closed)),
        "open_per_s": round(statistics.median(opened)),
        "open_to_closed": round(statistics.median(o / c for o, c in zip(opened, closed, strict=True)), 3),
    }


async def _look(app: ConsoleApp) -> None:
    pages = [page for page in PAGES if not page.startswith("search")]
    while True:
        for page in pages:
            await load(app, page)
            await asyncio.sleep(LOOK_S)


async def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fill the store if it is new, and measure."""
    is_new = not (folder / "store").exists()
    store = await Store.open(f"chdb://{folder / 'store'}")
    try:
        await store.migrate()
        if is_new:
            await fill(store, options.calls, options.tasks)
        (counts,) = await store.query(COUNTS)
        began, cpu = time.perf_counter(), time.process_time()
        await refresh_totals(store)
        refresh = {"s": round(time.perf_counter() - began, 2), "cpu_s": round(time.process_time() - cpu, 2)}
        # Another handle of the same store, which does not pause after the refresh of everything.
        store, filled = await Store.open(f"chdb://{folder / 'store'}"), store
        await filled.close()
        return {
            **counts,
            "tasks": options.tasks,
            "first_refresh_of_totals": refresh,
            "pages": await measure_pages(store, options.rounds),
            "sink": await measure_sink(store, options.turns, options.seconds),
        }
    finally:
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="understudies-console-") as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps(asyncio.run(run(options, folder))))


if __name__ == "__main__":
    main()
