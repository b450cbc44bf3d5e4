"""All of the product for a test: the five services as processes, on a broker, a store and a teacher of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from understudies.events import Event, Topic
from understudies.testing.fake_teacher import FakeTeacher
from understudies.testing.service_process import ServiceProcess

SERVICES: Final = ("observer", "evaluator", "trainer", "budget", "router")
PARTITIONED: Final = ("evaluator", "budget")
"""Services that can share their work by task."""

_STEADY: Final = {
    # By default a call in a hundred is asked twice, by chance, and a student's first answers are compared before any is
    # served: neither is what most tests are about.
    "UNDERSTUDIES_ROUTER_SELF_AGREEMENT_RATE": "0",
    "UNDERSTUDIES_ROUTER_PROBATION_CALLS": "0",
    "UNDERSTUDIES_BUS_REPLICATION_FACTOR": "1",
    "NO_COLOR": "1",
    "COLUMNS": "300",
}


class Stack:
    """The five services against `bootstrap`, each with a folder of its own below `folder`; an async context manager.

    Without `bootstrap` an embedded broker is started, without `store_url` the observer has an embedded store, without
    `redis_url` the router keeps budgets and cache in memory, and without `teacher_url` a fake teacher answers. `rules`
    is the text of understudies.toml; `env` holds further settings, by the names of docs/settings.md. If `partitioned`,
    which needs Apache Kafka, evaluator and budget share their work with copies that `make_process` makes.

        async with Stack(tmp_path, teacher="refund") as stack:
            await my_agent(base_url=stack.url)
            calls = await stack.wait_events(INVOCATIONS, 1)
    """

    def __init__(
        self,
        folder: Path,
        *,
        teacher: str | Callable[[str], str] = "a teacher's answer",
        teacher_url: str | None = None,
        bootstrap: str | None = None,
        store_url: str | None = None,
        redis_url: str | None = None,
        rules: str | None = None,
        env: Mapping[str, str] | None = None,
        partitioned: bool = False,
    ) -> None:
        self.folder = folder
        self._partitioned = partitioned
        self.teacher = FakeTeacher(teacher)
        self.processes: dict[str, ServiceProcess] = {}
        self.bootstrap = bootstrap or ""
        self.url = ""
        """The router's base URL for OpenAI clients, such as http://127.0.0.1:43210/v1."""
        self._teacher_url = teacher_url
        self._store_url = store_url
        self._redis_url = redis_url
        self._rules = rules
        self._env = dict(env or {})
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.bootstrap:
            from understudies.runtime.bus.embedded_broker import EmbeddedBroker

            broker = await self._stack.enter_async_context(EmbeddedBroker())
            self.bootstrap = broker.bootstrap
            # Joining a group takes the embedded broker five seconds.
            self._env = {"UNDERSTUDIES_BUS_GROUP_PREFIX": "", "UNDERSTUDIES_BUS_FETCH_MAX_WAIT_MS": "10", **self._env}
        if self._teacher_url is None:
            await self._stack.enter_async_context(self.teacher)
            self._teacher_url = self.teacher.url
        if self._rules is not None:
            (self.folder / "understudies.toml").write_text(self._rules)
        for name in SERVICES:
            self.processes[name] = self.make_process(name)
            self._stack.push_async_callback(self._close_process, name)
        await self.start_services()

    async def _close_process(self, name: str) -> None:
        # Whichever is the service then: a standby may have taken the place of the one that was started.
        await self.processes[name].close()

    def make_process(
        self, name: str, *more: str, data: Path | None = None, env: Mapping[str, str] | None = None
    ) -> ServiceProcess:
        """Return a process of a service that is not started yet, such as a second replica with a folder of its own.

        `more` are further options of the command.
        """
        folder = data or self.folder / name
        words = ["--data", str(folder), "--artifacts", f"file://{self.folder / 'artifacts'}", *more]
        if self._partitioned and name in PARTITIONED:
            words.append("--partitioned")
        if self._rules is not None and name != "observer":
            words += ["--rules", str(self.folder / "understudies.toml")]
        return ServiceProcess(name, *words, env={**self._settings(name), **self._env, **(env or {})})

    async def start_services(self, *names: str) -> None:
        """Start services, all without names, and wait until they are ready."""
        chosen = [self.processes[name] for name in names or SERVICES]
        for process in chosen:
            await process.start()
        await asyncio.gather(*(process.wait_ready() for process in chosen))
        if any(process.name == "router" for process in chosen):
            self.url = (await self.processes["router"].wait_ready(r"listens on (http://\S+/v1)"))[1]

    async def stop(self) -> dict[str, int]:
        """Stop the services, the router first, so that the others still see its events; returns their exit codes."""
        order = [name for name in reversed(SERVICES) if self.processes[name].is_running]
        return {name: await self.processes[name].terminate() for name in order}

    def _settings(self, name: str) -> dict[str, str]:
        settings = {**_STEADY, "UNDERSTUDIES_BUS_BOOTSTRAP": self.bootstrap}
        if name == "router":
            settings |= {"UNDERSTUDIES_ROUTER_TEACHER_URL": self._teacher_url or "", "UNDERSTUDIES_ROUTER_PORT": "0"}
            settings |= {} if self._redis_url is None else {"UNDERSTUDIES_ONLINE_URL": self._redis_url}
        if name == "observer" and self._store_url is not None:
            settings["UNDERSTUDIES_STORE_URL"] = self._store_url
        return settings

    async def wait_events(self, topic: Topic, count: int, *, seconds: float = 60.0) -> list[Event]:
        """Return the first `count` events of a topic, once there are as many; raises TimeoutError."""
        events: list[Event] = []
        async with asyncio.timeout(seconds), self._consumer(topic) as consumer:
            while len(events) < count:
                record = await consumer.getone()
                events.append(topic.decode(record.value))
        return events

    @contextlib.asynccontextmanager
    async def _consumer(self, topic: Topic) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic.name, number) for number in range(topic.partitions)])
            yield consumer
        finally:
            await consumer.stop()
