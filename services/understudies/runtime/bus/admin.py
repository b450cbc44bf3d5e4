"""Administer Kafka: addresses, security, required topics and end offsets."""

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
from understudies.runtime.bus.refusals import find_refusal
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings

_SASL_MECHANISMS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def bootstrap_servers(settings: BusSettings) -> list[str]:
    """Return the bootstrap addresses; raises ConfigurationError if there are none."""
    if not settings.bootstrap:
        raise ConfigurationError("no broker: set UNDERSTUDIES_BUS_BOOTSTRAP to HOST:PORT, or start an embedded broker")
    return [server.strip() for server in settings.bootstrap.split(",")]


def build_security(settings: BusSettings) -> BaseSecurity | None:
    """Return the settings' security as a FastStream object; None for a plaintext connection."""
    protocol = settings.security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        context = _create_ssl_context(settings)
    if protocol == "SSL":
        return BaseSecurity(ssl_context=context, use_ssl=True)
    if settings.sasl_user is None or settings.sasl_password is None:
        raise ConfigurationError(
            f"{protocol} needs UNDERSTUDIES_BUS_SASL_USER and UNDERSTUDIES_BUS_SASL_PASSWORD; one of them is not set"
        )
    kind = _SASL_MECHANISMS[settings.sasl_mechanism]
    password = settings.sasl_password.get_secret_value()
    return kind(settings.sasl_user, password, ssl_context=context, use_ssl=context is not None)


def _create_ssl_context(settings: BusSettings) -> ssl.SSLContext:
    """Return a context that trusts the given authority, and shows the client's certificate if there is one."""
    password = settings.key_password.get_secret_value() if settings.key_password else ""
    name = "CA_FILE"
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            name = "CERT_FILE and UNDERSTUDIES_BUS_KEY_FILE"
            # Always a password: without one, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"UNDERSTUDIES_BUS_{name} cannot be read: {error.strerror or error}; give PEM files that belong together, "
            "and UNDERSTUDIES_BUS_KEY_PASSWORD if the key has one"
        ) from error
    if settings.key_file is not None and settings.cert_file is None:
        raise ConfigurationError("UNDERSTUDIES_BUS_KEY_FILE without UNDERSTUDIES_BUS_CERT_FILE: set both, or neither")
    return context


def _required_topics(settings: BusSettings) -> list[NewTopic]:
    # Times are the broker's own: a record whose sender's clock is an hour ahead would be refused with its whole batch.
    common = {"max.message.bytes": str(MAX_MESSAGE_BYTES), "message.timestamp.type": "LogAppendTime"}
    topics = [NewTopic(t.name, t.partitions, 1, topic_configs={**t.config, **common}) for t in TOPICS]
    topics.append(NewTopic(DEAD_LETTERS, 1, 1, topic_configs=common))
    for topic in topics:
        # The constructor rejects -1, which means the broker's default and which brokers accept.
        topic.replication_factor = settings.replication_factor
    return topics


async def ensure_topics(settings: BusSettings) -> list[str]:
    """Create the missing topics; returns their names.

    Raises ConfigurationError, which names the missing topics, if the settings do not allow creating them, or says which
    setting the broker refuses, and RetryLater while the broker is unavailable.
    """
    options: Mapping[str, Any] = parse_security(build_security(settings))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings), **options)
    try:
        await admin.start()
        missing = {*(topic.name for topic in TOPICS), DEAD_LETTERS} - set(await admin.list_topics())
        if missing and not settings.create_topics:
            raise ConfigurationError(
                f"missing topics {sorted(missing)}: create them, or set UNDERSTUDIES_BUS_CREATE_TOPICS to true"
            )
        if missing:
            response: Any = await admin.create_topics(
                [topic for topic in _required_topics(settings) if topic.name in missing]
            )
            _raise_for_topic_errors(response.topic_errors)
        return sorted(missing)
    except KafkaError as error:
        if options and (refusal := await find_refusal(settings, bootstrap_servers(settings)[0], options)):
            raise ConfigurationError(f"the broker at {settings.bootstrap!r} lets nobody in: {refusal}") from error
        raise RetryLater(f"cannot create topics at {settings.bootstrap!r}: {error!r}") from error
    finally:
        await admin.close()


async def fetch_end_offsets(settings: BusSettings, consumed: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Return the offsets after the last records of the partitions, reading on from the offsets in `consumed`.

    A partition's end offset may lie beyond its last record, if retention or compaction has removed the records before
    it; no consumer would ever reach it. The end of a partition is taken from the high watermark of a fetch: asked for
    the latest offset, the embedded broker counts only the first record of the last batch. Raises KafkaError while the
    broker is unavailable.
    """
    options: Mapping[str, Any] = parse_security(build_security(settings))
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=",".join(bootstrap_servers(settings)),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=10,
        **options,
    )
    ends, goals = dict(consumed), dict[TopicPartition, int]()
    try:
        await consumer.start()
        consumer.assign(list(consumed))
        for partition, offset in consumed.items():
            if offset > 0:
                consumer.seek(partition, offset)
        while await is_before_end(consumer, consumed, goals):
            for partition, records in (await consumer.getmany(timeout_ms=10)).items():
                ends[partition] = records[-1].offset + 1
        return ends
    finally:
        await stop_consumer(consumer)


async def is_before_end(
    consumer: Any, partitions: Collection[TopicPartition], goals: dict[TopicPartition, int]
) -> bool:
    """Return whether a partition has not yet been read up to its end, as it was when first known."""
    for partition in partitions:
        end = goals.get(partition, consumer.highwater(partition))
        if end is None:
            return True
        goals[partition] = end
        if await consumer.position(partition) < end:
            return True
    return False


async def stop_consumer(consumer: Any) -> None:
    """Disconnect in a task of its own: the client, cancelling a fetch that just failed, also cancels its caller."""
    ending = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({ending})
    if not ending.cancelled():
        ending.result()


def _raise_for_topic_errors(errors: list[Any]) -> None:
    for topic, code, *detail in errors:
        kind = for_code(code)
        if code and kind is not TopicAlreadyExistsError:
            raise ConfigurationError(f"the broker did not create topic {topic!r}: {kind.__name__} {detail!r}")
