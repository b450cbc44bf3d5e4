"""Who may write to which topic, by deploy/kafka/acls.sh on a real broker."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.kafka_server import KafkaServer, require_kafka
from tests.support.sample_events import make_invocation, make_promotion, make_verdict_on

from understudies.events import TOPICS, Event, encode
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import RetryLater
from understudies.runtime.settings import BusSettings

SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "acls.sh"
USERS = ("admin", "operator", "agent", "router", "observer", "evaluator", "trainer", "budget")
_PROPERTIES = """
listeners=SASL_PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{{port}}
listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config={jaas}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
"""
_JAAS = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="admin-secret";'


def _options() -> Iterator[str]:
    for user in USERS:
        yield "--add-scram"
        yield f"SCRAM-SHA-512=[name={user},password={user}-secret]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaServer]:
    jars = require_kafka()
    login = tmp_path_factory.mktemp("acls") / "admin.properties"
    login.write_text(f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config={_JAAS}\n")
    async with KafkaServer(properties=_PROPERTIES.format(jaas=_JAAS), format_options=tuple(_options())) as server:
        command = [str(SCRIPT), "--bootstrap-server", server.bootstrap, "--command-config", str(login)]
        tool = f"java -cp {jars} org.apache.kafka.tools.AclCommand"
        done = await asyncio.to_thread(
            subprocess.run, command, env={**os.environ, "KAFKA_ACLS": tool}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert done.stdout.startswith("allowed: invocations by router, observer, trainer, agent, operator;")
        async with bus_of("operator", server):
            # Creates the topics.
            pass
        yield server


def settings_of(user: str, kafka: KafkaServer) -> BusSettings:
    return BusSettings.model_validate(
        {
            "bootstrap": kafka.bootstrap,
            "publish_timeout_s": 5,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_user": user,
            "sasl_password": f"{user}-secret",
        }
    )


@asynccontextmanager
async def bus_of(user: str, kafka: KafkaServer) -> AsyncIterator[KafkaBus]:
    """A started bus of a user."""
    bus = KafkaBus(settings_of(user, kafka), user)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


@pytest.mark.parametrize(
    ("user", "event"),
    [
        ("agent", make_invocation()),
        ("router", make_invocation()),
        ("observer", make_invocation()),
        ("trainer", make_invocation(origin="synthetic")),
        ("budget", make_promotion("promoted")),
        ("trainer", make_promotion("trained")),
        ("observer", make_promotion("collected")),
        ("operator", make_promotion("promoted")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.asyncio(loop_scope="module")
async def test_each_writes_what_it_owns(kafka: KafkaServer, user: str, event: Event) -> None:
    async with bus_of(user, kafka) as bus:
        await bus.publish(event)


@pytest.mark.parametrize(
    ("user", "event"),
    [
        ("agent", make_promotion("promoted")),
        ("router", make_promotion("promoted")),
        ("evaluator", make_promotion("promoted")),
        ("evaluator", make_invocation()),
        ("budget", make_invocation()),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_else_decides_or_records(kafka: KafkaServer, user: str, event: Event) -> None:
    async with bus_of(user, kafka) as bus:
        with pytest.raises(RetryLater, match="TopicAuthorizationFailed"):
            await bus.publish(event)


@pytest.mark.parametrize("user", ["router", "budget"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_reads_all_that_it_folds_in_a_group_of_its_own(kafka: KafkaServer, user: str) -> None:
    read: asyncio.Queue[Record] = asyncio.Queue()

    async def keep(records: Sequence[Record]) -> None:
        for record in records:
            read.put_nowait(record)

    bus = KafkaBus(settings_of(user, kafka), user)
    bus.consume(TOPICS, keep)
    await bus.start()
    try:
        async with bus_of("evaluator", kafka) as evaluator, bus_of("agent", kafka) as agent:
            call = make_invocation("asked once")
            verdict = make_verdict_on(call)
            await evaluator.publish(verdict)
            await agent.publish(call)
        wanted = {encode(verdict), encode(call)}
        async with asyncio.timeout(60):
            while wanted:
                wanted.discard((await read.get()).value)
    finally:
        await bus.stop()
