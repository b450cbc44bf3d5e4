"""The entry point for agents: wrap a teacher once to record every call of it."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from understudies.client.calls import TeacherCall, TeacherInfo, copy_arguments
from understudies.client.encoding import InvocationEncoder
from understudies.client.errors import PublishError, describe_error
from understudies.client.instrumentation import EpisodeSource, Instrumentor, TaskSource
from understudies.client.pricing import Price
from understudies.client.recorder import CallRecorder
from understudies.client.sinks import CorpusSink, KafkaSink, Sink
from understudies.client.spool import EventSpool
from understudies.client.spooling_sink import SpoolingSink
from understudies.events import Event, NewId, new_id, own_task
from understudies.events.base import TASK_NAME_RULE, is_task_name
from understudies.events.task_names import OWNER_PATTERN
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor

Teacher = TypeVar("Teacher")


def utc_now() -> datetime:
    """Return the machine's current time in UTC."""
    return datetime.now(UTC)


class Understudies:
    """Records the calls of teachers to Kafka, to a local corpus, or to both.

    With `own_tasks` the tasks belong to this tenant alone, as they do for a tenant of the router whose rules say so.
    `price` computes the cost of a call; without it the budget uses the price list's price for the model and its
    usage, else $0.03. `redact` removes what must not leave the process (None: nothing is redacted).
    At most `max_buffer` calls wait for delivery; when the buffer is full, new calls are dropped and counted, and so
    is a call of more than `max_bytes`. While Kafka is unavailable, calls wait in `spool`, a folder, up to `spool_bytes`
    and across restarts; without it, in memory. `kafka` holds further options of the producer, such as security
    settings.
    """

    def __init__(
        self,
        bootstrap: str | None = None,
        *,
        tenant: str = "default",
        own_tasks: bool = False,
        corpus: str | os.PathLike[str] | None = None,
        redact: Redactor | None = default_redactor,
        price: Price | None = None,
        max_buffer: int = 10_000,
        max_bytes: int = 1_000_000,
        exit_timeout: float = 5.0,
        kafka: Mapping[str, Any] | None = None,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = 1_000_000_000,
        now: Callable[[], datetime] = utc_now,
        ids: NewId = new_id,
    ) -> None:
        if bootstrap is None and corpus is None:
            raise ValueError("nowhere to record to: give a bootstrap server, a corpus file, or both")
        if own_tasks and not OWNER_PATTERN.fullmatch(tenant):
            raise ValueError(f"{tenant!r} has no tasks of its own: name it with at most 64 letters, digits, _, . and -")
        self._owner = tenant if own_tasks else None
        self._now = now

        on_disk = None if spool is None else Path(spool)
        at_risk = "on disk"
        if on_disk is None:
            advice = "" if corpus is not None else " (give spool=FOLDER to keep them on disk)"
            at_risk = (
                f"in memory; lost are calls beyond {max_buffer}, and those still waiting {exit_timeout:g} s after the "
                f"end of the process{advice}"
            )

        def sinks() -> Sequence[Sink]:
            local: list[Sink] = [] if corpus is None else [CorpusSink(Path(corpus))]
            if bootstrap is None:
                return local
            bus = KafkaSink(bootstrap, max_bytes, kafka or {}, at_risk)
            return [*local, bus if on_disk is None else SpoolingSink(bus, EventSpool(on_disk, spool_bytes))]

        self._recorder = CallRecorder(
            InvocationEncoder(tenant, redact, price, ids, max_bytes, own_tasks),
            sinks,
            max_buffer,
            max_bytes,
            exit_timeout,
        )

    def shadow(
        self,
        teacher: Teacher,
        task: str | TaskSource = None,
        *,
        episode: EpisodeSource = None,
        model: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Teacher:
        """Return the teacher with its calls recorded: it answers, streams and fails exactly as before.

        A teacher is a function, sync or async, that takes messages or a prompt, such as the `create` of an OpenAI or
        Anthropic client, an object with `invoke`, or a whole client, all of whose model calls are recorded. Without a
        task's name, calls with the same system prompt form one task. `episode` is the trajectory's id. Either may be a
        function without arguments that returns it, or None, at each call.
        """
        source: TaskSource = None
        name: str | None = None
        if callable(task):
            source = partial(self._call_task, task)
        elif task is not None:
            name = self._own_task(task)
        shadow = TeacherInfo(name, model, dict(tags or {}))
        return cast(Teacher, Instrumentor(self._recorder, shadow, episode, self._now, source).wrap(teacher))

    def _call_task(self, task: Callable[[], str | None]) -> str | None:
        name = task()
        return None if name is None else self._own_task(name)

    def _own_task(self, task: str) -> str:
        name = task if self._owner is None else own_task(self._owner, task)
        if not is_task_name(name):
            raise ValueError(f"{name!r} is no task name: {TASK_NAME_RULE}")
        return name

    def record(
        self,
        arguments: Mapping[str, Any],
        answer: Any = None,
        *,
        at: datetime | None = None,
        latency_ms: float = 0.0,
        error: str | None = None,
        task: str | None = None,
        episode: str | None = None,
        model: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> bool:
        """Record a finished call that something else has watched, such as the callbacks of a framework; never raises.

        `arguments` are those of a provider's client, and `answer` is what it returned, of any form that `shadow` reads;
        `error` says instead why there is none. Returns False if the call is not recorded, which is counted.
        """
        try:
            name = None if task is None else self._own_task(task)
            moment = self._now() if at is None else at.astimezone(UTC)
            given = copy_arguments((), dict(arguments))
            call = TeacherCall(
                TeacherInfo(name, model, dict(tags or {})), moment, episode, given, latency_ms, answer, error=error
            )
            return self._recorder.put(call, given.characters)
        except Exception as failure:  # noqa: BLE001 - no failure here may disturb the agent
            return self._recorder.count_loss("unreadable", detail=describe_error(failure))

    def count_unreadable(self, why: str) -> None:
        """Count a call that cannot be recorded, with the reason for the log."""
        self._recorder.count_loss("unreadable", detail=why)

    async def publish(self, event: Event) -> None:
        """Publish an event and wait until it is delivered, even while Kafka is unavailable; raises PublishError."""
        delivered: Future[None] = Future()
        if not self._recorder.put(event, delivered=delivered):
            raise PublishError("the buffer is full or the client was closed; publish the event again later")
        await asyncio.wrap_future(delivered)

    def publish_nowait(self, event: Event) -> bool:
        """Queue an event for delivery in the background; returns False if it was dropped."""
        return self._recorder.put(event)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything recorded so far is delivered or lost; returns False if `timeout` seconds ran out."""
        return self._recorder.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Flush for up to `timeout` seconds, then stop; later calls are dropped.

        Without `timeout`, the `exit_timeout` of the client applies.
        """
        self._recorder.close(timeout)

    @property
    def dropped(self) -> int:
        """The number of calls and events that were lost for any reason."""
        return sum(self._recorder.losses.values())

    @property
    def losses(self) -> dict[str, int]:
        """The number of lost calls and events by reason: full, too_large, unreadable, refused, unsent, closed."""
        return self._recorder.losses

    @property
    def recorded_by_router(self) -> int:
        """The number of calls of shadowed clients that passed the router, which records them in place of this one."""
        return self._recorder.passed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.to_thread(self.close)
