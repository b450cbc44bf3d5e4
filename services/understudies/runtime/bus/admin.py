"""How to reach Kafka: security, and the topics that must be there."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from understudies.events import TOPICS
from understudies.runtime.bus.dead_letters import DEAD_LETTERS
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings

_SASL_MECHANISMS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def bootstrap_servers(settings: BusSettings) -> list[str]:
    """Bootstrap addresses; raises ConfigurationError where there are none."""
    if not settings.bootstrap:
        raise ConfigurationError("no broker: set UNDERSTUDIES_BUS_BOOTSTRAP to HOST:PORT, or start an embedded one")
    return [server.strip() for server in settings.bootstrap.split(",")]


def build_security(settings: BusSettings) -> BaseSecurity | None:
    """The settings' security in FastStream's terms; none for a plain connection."""
    protocol = settings.security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.ca_file)
    if protocol == "SSL":
        return BaseSecurity(ssl_context=context, use_ssl=True)
    if settings.sasl_user is None or settings.sasl_password is None:
        raise ConfigurationError(
            f"{protocol} needs UNDERSTUDIES_BUS_SASL_USER and UNDERSTUDIES_BUS_SASL_PASSWORD; one of them is not set"
        )
    kind = _SASL_MECHANISMS[settings.sasl_mechanism]
    password = settings.sasl_password.get_secret_value()
    return kind(settings.sasl_user, password, ssl_context=context, use_ssl=context is not None)


def _required_topics(settings: BusSettings) -> list[NewTopic]:
    largest = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    topics = [NewTopic(t.name, t.partitions, 1, topic_configs={**t.config, **largest}) for t in TOPICS]
    topics.append(NewTopic(DEAD_LETTERS, 1, 1, topic_configs=largest))
    for topic in topics:
        # Its constructor refuses -1, the broker's default, which brokers take.
        topic.replication_factor = settings.replication_factor
    return topics


async def ensure_topics(settings: BusSettings) -> None:
    """Create the topics that are missing, or name them; raises RetryLater when the broker is away."""
    options: Mapping[str, Any] = parse_security(build_security(settings))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings), **options)
    try:
        await admin.start()
        missing = {*(topic.name for topic in TOPICS), DEAD_LETTERS} - set(await admin.list_topics())
        if missing and not settings.create_topics:
            raise ConfigurationError(
                f"no topics {sorted(missing)}: create them, or let UNDERSTUDIES_BUS_CREATE_TOPICS be true"
            )
        if missing:
            answer: Any = await admin.create_topics(
                [topic for topic in _required_topics(settings) if topic.name in missing]
            )
            _raise_for_topic_errors(answer.topic_errors)
    except KafkaError as error:
        raise RetryLater(f"cannot create topics at {settings.bootstrap!r}: {error!r}") from error
    finally:
        await admin.close()


async def fetch_end_offsets(settings: BusSettings, consumed: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Where the last records of partitions end now, read from the offsets that are `consumed`.

    A partition's own end may lie behind its last record, where retention or compaction has taken the others away, and
    nobody would ever get there. Its end is the high watermark of a fetch: asked for the latest offset, the embedded
    broker counts only the first record of the last batch. Raises KafkaError when the broker is away.
    """
    options: Mapping[str, Any] = parse_security(build_security(settings))
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=",".join(bootstrap_servers(settings)),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=10,
        **options,
    )
    found, goals = dict(consumed), dict[TopicPartition, int]()
    try:
        await consumer.start()
        consumer.assign(list(consumed))
        for partition, offset in consumed.items():
            if offset > 0:
                consumer.seek(partition, offset)
        while await _is_before_end(consumer, consumed, goals):
            for partition, records in (await consumer.getmany(timeout_ms=10)).items():
                found[partition] = records[-1].offset + 1
        return found
    finally:
        await _stop_consumer(consumer)


async def _is_before_end(
    consumer: Any, partitions: Collection[TopicPartition], goals: dict[TopicPartition, int]
) -> bool:
    """Whether a partition was not read yet up to the end that it had when that was first known."""
    for partition in partitions:
        end = goals.get(partition, consumer.highwater(partition))
        if end is None:
            return True
        goals[partition] = end
        if await consumer.position(partition) < end:
            return True
    return False


async def _stop_consumer(consumer: Any) -> None:
    """Disconnect; where a fetch has just failed, the client ends it and takes that for an end of its caller."""
    ending = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({ending})
    if not ending.cancelled():
        ending.result()


def _raise_for_topic_errors(errors: list[Any]) -> None:
    for topic, code, *detail in errors:
        kind = for_code(code)
        if code and kind is not TopicAlreadyExistsError:
            raise ConfigurationError(f"the broker did not create topic {topic!r}: {kind.__name__} {detail!r}")
