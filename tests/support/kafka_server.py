"""Apache Kafka for tests: a real broker on loopback, from its published jars, without Docker."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest
from aiokafka.admin import AIOKafkaAdminClient

LIBS: Final = os.environ.get("UNDERSTUDIES_TEST_KAFKA_LIBS")
"""The folder `libs` of a Kafka 4 distribution."""

_SECONDS: Final = 180
# Compaction while a killed broker loads __consumer_offsets leaves its group coordinator failed for good (KAFKA-19862),
# until the broker is started anew: then no test that kills it could tell anything.
_PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.min.compaction.lag.ms=86400000
auto.create.topics.enable=false
"""

_LOGGING: Final = """
rootLogger.level=WARN
rootLogger.appenderRef.stderr.ref=stderr
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=%d %p %c{1}: %m%n
logger.coordinator.name=org.apache.kafka.coordinator.group
logger.coordinator.level=INFO
"""


def require_kafka() -> str:
    """The jars and the Java to run them; without them the test is skipped."""
    if LIBS is None or shutil.which("java") is None:
        pytest.skip("needs Apache Kafka: set UNDERSTUDIES_TEST_KAFKA_LIBS to the libs of a distribution, with Java 17")
    return f"{LIBS}/*"


class KafkaServer:
    """One broker that is its own controller, with a folder of its own; `advertised` is where it sends its clients.

    `properties` override its own, `{port}` among them; `format_options` are for the formatting of its storage. One of
    several brokers is told the port of its `controller`.
    """

    def __init__(
        self,
        advertised: str | None = None,
        *,
        properties: str = "",
        format_options: Sequence[str] = (),
        controller: int | None = None,
        heap_mb: int = 256,
    ) -> None:
        self._jars = require_kafka()
        self._port, self._controller = free_port(), controller or free_port()
        self._heap_mb = heap_mb
        self.bootstrap = f"127.0.0.1:{self._port}"
        self._advertised = advertised or self.bootstrap
        self._properties, self._format_options = properties, format_options
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Format its storage at the first start, start it, and return once it takes connections."""
        if self._folder is None:
            self._format()
        assert self._folder is not None
        folder, file = self._folder, self._folder / "server.properties"
        with (folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    "java",
                    f"-Xmx{self._heap_mb}m",
                    f"-Dlog4j2.configurationFile={folder}/log4j2.properties",
                    "-cp",
                    self._jars,
                    "kafka.Kafka",
                    str(file),
                ],
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tests, which stop it
            )
        until = time.monotonic() + _SECONDS
        while not _is_listening(self._port):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Kafka does not come up: {self._process.poll()}\n{self.output}")
            time.sleep(0.1)

    @property
    def output(self) -> str:
        """The last of what it has said, in all its starts."""
        file = None if self._folder is None else self._folder / "output"
        return "" if file is None or not file.exists() else file.read_text(errors="replace")[-20000:]

    def _format(self) -> None:
        self._folder = folder = Path(tempfile.mkdtemp(prefix="understudies-kafka-"))
        file = folder / "server.properties"
        file.write_text(
            (_PROPERTIES + self._properties)
            .format(controller=self._controller, port=self._port, advertised=self._advertised, folder=folder)
            .lstrip()
        )
        (folder / "log4j2.properties").write_text(_LOGGING.lstrip())
        tool = ("kafka.tools.StorageTool", "format", "--cluster-id", "b2dOzKqRRlCk8yJmGQyYfw", "--config", str(file))
        self._java(*tool, *self._format_options)

    def kill(self) -> None:
        """Kill it; what it holds is there again at the next start."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def pause(self) -> None:
        """Let it answer nothing; connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again, first of all what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the broker is not running")
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kill it, and forget what it held."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _java(self, *words: str) -> None:
        subprocess.run(["java", "-cp", self._jars, *words], check=True, capture_output=True, cwd=self._folder)


async def delete_topics(bootstrap: str) -> None:
    """Delete all topics of a broker, so that the next test finds none of what the last one left."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(_SECONDS):
            while topics := [name for name in await admin.list_topics() if not name.startswith("__")]:
                await admin.delete_topics(topics)
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


def free_port() -> int:
    """Return a loopback port that nobody has at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
