"""How the memory of `understudies up` grows over millions of calls.

    python -m bench.up_memory --calls 3600000        an hour at 1,000 calls a second, in a month of virtual time
    python -m bench.up_memory --calls 120000         minutes; growth a call is told beside the share

All services run in one process as `up` starts them, with snapshots and the bus in memory. Events are put on the bus as
the router puts them, without HTTP: what the teacher answered, and once a student is promoted what that answered, one in
twenty audited; nine of ten calls ask something new. A student is trained and judged as always. After each sixth of the
calls all is handled, and the memory of the process is read (PSS). Growth is told without pages of files, which other
processes share or not. The last line is one JSON object.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.scale import TreeMemory, tree_memory
from bench.traffic.generated_log import GeneratedCall
from bench.traffic.many_calls import TASKS, generate_calls

from understudies.embedded.config import PlatformConfig
from understudies.embedded.platform import Platform
from understudies.events import Invocation, Message, Request, Response, Route, SeededIds, fingerprint
from understudies.router.call import Call, TeacherAnswer
from understudies.router.routing.decision import TaskRoute
from understudies.router.settings import RouterSettings
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import RetryLater
from understudies.runtime.malloc import configure_malloc
from understudies.runtime.settings import settings_from

PRICE = Decimal("0.03")
SERVED, AUDITED, ASKED_AGAIN = 0.6, 0.05, 0.01
BATCH = 500
SIXTHS = 6


class NoTeacher:
    """A teacher that nobody asks."""

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        raise AssertionError("calls do not pass through the router here")


class Traffic:
    """Makes the events of calls, as the router would record them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ids = SeededIds("up-memory")

    def events_of(self, call: GeneratedCall, route: TaskRoute | None) -> Iterator[Invocation]:
        """Yield the event of a call, and that of its audit where it is audited."""
        rng, request = self._rng, _to_request(call)
        served = route is not None and not route.drifted and rng.random() < SERVED * route.share
        drawn = rng.random() < (AUDITED if served else ASKED_AGAIN)
        share, threshold = (route.share, route.threshold) if route is not None else (0.0, None)
        common: dict[str, Any] = {
            "at": call.at,
            "task": call.task,
            "request": request,
            "fingerprint": fingerprint(request),
        }
        event = Invocation(
            id=self._ids(call.at),
            served_by="student" if served else "teacher",
            model=route.student if served and route else call.model,
            student=route.student if served and route else None,
            response=_to_response(call.answer),
            cost_usd=Decimal("0.0001") if served else PRICE,
            confidence=0.99 if served else None,
            route=Route(
                reason="promoted" if served else "no_student" if route is None else "control",
                threshold=threshold,
                share=share,
                audit_probability=AUDITED if served else ASKED_AGAIN,
                drawn=drawn,
            ),
            **common,
        )
        yield event
        if drawn:
            yield Invocation(
                id=self._ids(call.at),
                origin="audit",
                audits=event.id,
                model=call.model,
                response=_to_response(call.answer if rng.random() < 0.99 else "something else"),
                cost_usd=PRICE,
                route=Route(reason="audit", audit_probability=AUDITED),
                **common,
            )


def _to_request(call: GeneratedCall) -> Request:
    return Request(messages=(Message(role="system", content=call.system), Message(role="user", content=call.text)))


def _to_response(answer: str) -> Response:
    return Response(message=Message(role="assistant", content=answer), finish_reason="stop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_600_000)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--days", type=float, default=30.0)
    options = parser.parse_args()
    # What the encoder costs is measured elsewhere: without it the calls are played in a third of the time.
    os.environ.setdefault("UNDERSTUDIES_TRAINER_ENCODER", "false")
    # As every command of the product does.
    configure_malloc()
    began = time.process_time()
    sizes = asyncio.run(play(options.calls, options.tasks, options.days))
    cpu = time.process_time() - began
    first, last = sizes[0].anonymous, sizes[-1].anonymous
    later = options.calls * (SIXTHS - 1) / SIXTHS
    figures = {
        "calls": options.calls,
        "memory_mb": [round(size.total / 1e6, 1) for size in sizes],
        "anonymous_mb": [round(size.anonymous / 1e6, 1) for size in sizes],
        "growth_after_first_sixth": round(last / first - 1, 3),
        "growth_bytes_per_call": round((last - first) / later, 1),
        "cpu_ms_per_call": round(1000 * cpu / options.calls, 3),
    }
    print(json.dumps(figures))


async def play(calls: int, tasks: int, days: float) -> list[TreeMemory]:
    """Play the calls; return the memory after each sixth of them."""
    log = generate_calls(calls, tasks=tasks, days=days)
    first = next(log)
    clock, traffic = VirtualClock(first.at), Traffic(random.Random("up-memory"))
    sizes: list[TreeMemory] = []
    with tempfile.TemporaryDirectory(prefix="up-memory-") as folder:
        router = settings_from(RouterSettings).model_copy(update={"port": None})
        config = PlatformConfig(
            folder=Path(folder), clock=clock, teacher=NoTeacher(), bus_in_memory=True, router=router
        )
        async with Platform(config) as platform:
            due, played, batch = _hour_after(first.at), 0, [first]
            for call in log:
                if call.at >= due or len(batch) >= BATCH:
                    played += len(batch)
                    await publish(platform, traffic, batch)
                    batch = []
                while call.at >= due:
                    await wait_handled(platform)
                    clock.set(due)
                    await platform.tick(due)
                    due = _hour_after(due)
                batch.append(call)
                if played >= calls * (len(sizes) + 1) // SIXTHS:
                    sizes.append(await measure(platform, played))
            await publish(platform, traffic, batch)
            sizes.append(await measure(platform, calls))
    return sizes


async def publish(platform: Platform, traffic: Traffic, calls: Sequence[GeneratedCall]) -> None:
    """Put the events of some calls on the bus, waiting while it is full."""
    bus, table = platform._connect("bench"), platform.router.call_service.table
    events = [event for call in calls for event in traffic.events_of(call, table.route(call.task or "", call.at))]
    while True:
        try:
            await bus.publish(*events)
        except RetryLater:
            await wait_handled(platform)
        else:
            return


async def wait_handled(platform: Platform) -> None:
    """Wait until every service has handled all events: nothing is kept of them then."""
    while len(platform._topics or ()):  # noqa: ASYNC110 - nothing tells of it, and nothing waits in production
        await asyncio.sleep(0.01)


async def measure(platform: Platform, played: int) -> TreeMemory:
    """Return the memory of this process and its children, once all is handled."""
    await wait_handled(platform)
    gc.collect()
    size = tree_memory(os.getpid())
    serving = sum(state.serving is not None for state in platform.budget.tasks.values())
    print(
        f"{played:,} calls: {size.total / 1e6:,.0f} MB, {size.anonymous / 1e6:,.0f} of no file, {serving} tasks served",
        flush=True,
    )
    return size


def _hour_after(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


if __name__ == "__main__":
    main()
