"""Play recorded calls through the platform, step by step of virtual time."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from understudies.backtest.replay.schedule import ScheduledCall
from understudies.datasets.errors import ArtifactError
from understudies.embedded.platform import Platform
from understudies.events import Request, position
from understudies.router.call import Call
from understudies.router.serving.call_service import CallService
from understudies.runtime.clock import VirtualClock
from understudies.students.base import PreparingStudent, StudentError

STEP = timedelta(hours=1)


def iter_steps(calls: Sequence[ScheduledCall]) -> Iterator[tuple[datetime, list[ScheduledCall]]]:
    """Yield the end of each step and its calls, in whole hours from the first call's, including steps without calls."""
    if not calls:
        return
    end = calls[0].at.replace(minute=0, second=0, microsecond=0) + STEP
    step: list[ScheduledCall] = []
    for call in calls:
        while call.at >= end:
            yield end, step
            end, step = end + STEP, []
        step.append(call)
    yield end, step


async def replay_calls(
    platform: Platform,
    clock: VirtualClock,
    calls: Sequence[ScheduledCall],
    on_step: Callable[[datetime, int], Awaitable[None]],
    expect: Callable[[ScheduledCall], None],
) -> datetime:
    """Play all calls; a step begins when every service has handled the previous one. Return the end.

    The teacher is told by `expect` which call it is asked next. All calls of a step use the same routing table, because
    events are held back until the step is played: what a live router learns within a second, this one learns within
    the step.
    """
    call_service, recorder = platform.router.call_service, platform.router.recorder
    played, end = 0, clock.now()
    for end, step in iter_steps(calls):
        await _prepare_students(call_service, step)
        for scheduled in step:
            clock.set(scheduled.at)
            expect(scheduled)
            await call_service.serve(to_router_call(scheduled))
            await call_service.wait_idle()
        await recorder.flush()
        await platform.wait_until_idle()
        clock.set(end)
        await platform.tick(end)
        played += len(step)
        await on_step(end, played)
    return end


async def _prepare_students(call_service: CallService, step: Sequence[ScheduledCall]) -> None:
    """Tell each student in force of the calls of a step that its share lets in; all are routed by the same table."""
    by_student: defaultdict[str, list[Request]] = defaultdict(list)
    for scheduled in step:
        route = call_service.table.route(scheduled.task, scheduled.at)
        key = scheduled.call.episode or scheduled.call.fingerprint
        if route is not None and not route.drifted and position(key, salt=f"canary:{scheduled.task}") < route.share:
            by_student[route.artifact].append(scheduled.call.request)
    for artifact, requests in by_student.items():
        student = call_service.student_registry.loaded(artifact)
        if isinstance(student, PreparingStudent):
            # Whatever is wrong with the student, it is found where it is asked, and the teacher answers.
            with suppress(StudentError, ArtifactError):
                await student.prepare(requests)


def to_router_call(scheduled: ScheduledCall) -> Call:
    """Convert a recorded call for the router's call service."""
    recorded = scheduled.call
    return Call(
        id=scheduled.id,
        at=scheduled.at,
        task=scheduled.task,
        request=recorded.request,
        sample=scheduled.sample,
        episode=recorded.episode,
        model=recorded.model,
        tags=recorded.tags,
        critical=recorded.critical,
    )
