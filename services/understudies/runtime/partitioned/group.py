"""Join the group of a service's processes, and learn which partitions this one owns."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, InconsistentGroupProtocolError, KafkaError, OffsetMetadataTooLargeError
from faststream.kafka.security import parse_security

from understudies.events import Topic
from understudies.runtime.bus.admin import bootstrap_servers, build_security, ensure_topics, stop_consumer
from understudies.runtime.bus.messages import Offsets
from understudies.runtime.errors import ConfigurationError, RetryLater, StopService
from understudies.runtime.partitioned.assignor import BalancedAssignor
from understudies.runtime.settings import BusSettings
from understudies.runtime.throttle import Throttle

_POLL_MS: Final = 1_000
_MAX_POLL_INTERVAL_MS: Final = 12 * 86_400_000
_REBALANCE_TIMEOUT_MS: Final = 60_000
_METADATA_MAX_AGE_MS: Final = 10_000
"""Longest time until a topic that was given more partitions is noticed."""

_REQUEST_TIMEOUT_S: Final = 5.0
"""Longest wait for a request about offsets, which aiokafka repeats without end while the broker is away."""

_COORDINATOR_TIMEOUT_S: Final = 60.0
"""Longest wait for a request of a process that starts: a new broker makes the topic of its groups first."""

UNKNOWN_FOLDER: Final = "unknown"
"""Instead of the id of a data folder: that of a process that noted none, as one without --partitioned."""
_NOTE: Final = "understudies data folder "
"""Begins what is noted with a committed offset: the id of the folder with the state follows."""

_log = logging.getLogger(__name__)


class PartitionGroup:
    """Membership in the group of a service; it consumes nothing itself.

    `changed` is set whenever the partitions that this process owns may be others. Nothing is stopped before that: who
    gets a partition waits for its lock, which this process holds until the partition's state is saved.
    """

    def __init__(
        self, settings: BusSettings, service: str, topics: tuple[Topic, ...], count: int, in_place_of: str | None = None
    ) -> None:
        """`count` is the number of partitions of each topic, of which the state in the data folder is.

        `in_place_of` is the id of a data folder that is lost: this process may begin without its state.
        """
        self._settings = settings
        self._service = service
        self._topics = topics
        self._count = count
        self._in_place_of = in_place_of
        self._folder_id = ""
        self.name = group_name(settings, service)
        self.owned: frozenset[int] = frozenset()
        self.changed = asyncio.Event()
        self._assignor = BalancedAssignor
        self._consumer: Any = None
        self._note_throttle = Throttle()

    async def start(self, folder_id: str) -> None:
        """Join those whose data folder has this id.

        Raises RetryLater while the broker is unavailable, ConfigurationError if the group refuses this process.
        """
        self._folder_id = folder_id
        self._assignor = BalancedAssignor.for_member(folder_id, _own_version())
        options: Mapping[str, Any] = parse_security(build_security(self._settings))
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=",".join(bootstrap_servers(self._settings)),
            client_id=f"understudies-{self._service}",
            group_id=self.name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[self._assignor],
            # Nothing is polled; a process that is gone is noticed by its heartbeats.
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            **options,
        )
        consumer.subscribe([topic.name for topic in self._topics], listener=_Listener(self, consumer))
        try:
            await consumer.start()
        except InconsistentGroupProtocolError as error:
            await stop_consumer(consumer)
            raise ConfigurationError(
                f"processes without --partitioned are in group {self.name!r}: stop them first, or start this one "
                "without it"
            ) from error
        except (KafkaError, OSError) as error:
            await stop_consumer(consumer)
            raise RetryLater(f"no broker at {self._settings.bootstrap!r}: {error!r}") from error
        self._consumer = consumer

    async def wait_failed(self) -> None:
        """Wait until the membership ends by an error, or a topic has other partitions, and raise StopService."""
        while True:
            self._require_count()
            try:
                # Of paused partitions there are no records; what ended the membership is raised here.
                await self._consumer.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:
                raise StopService(f"{self._service} is no longer in group {self.name!r}: {error!r}") from error

    def _require_count(self) -> None:
        for topic in self._topics:
            found = self._consumer.partitions_for_topic(topic.name)
            if found is not None and len(found) != self._count:
                raise StopService(
                    f"topic {topic.name!r} has {len(found)} partitions now, and the state of {self._service} is of "
                    f"{self._count}: tasks are in other partitions, some of which nobody reads. Give the topics "
                    f"{[one.name for one in self._topics]} the same number, and start all copies with another --data "
                    f"folder and --in-place-of {self._folder_id}: they begin without state, and read the new "
                    "partitions from their beginning"
                )

    async def claim(self, number: int, *, has_state: bool) -> Offsets:
        """Note in the group that the state of a partition is in this process's data folder, where it stays.

        Returns the offsets that the group has committed of it. `has_state` tells whether the folder has state of it.
        Raises ConfigurationError if the state is in another folder: whoever began without it would decide again what
        was decided long ago. Raises RetryLater while the broker is unavailable or another process owns the partition.
        """
        places = [TopicPartition(topic.name, number) for topic in self._topics]
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                found = await self._consumer._coordinator.fetch_committed_offsets(places)
        except (KafkaError, OSError) as error:
            raise RetryLater(f"no broker at {self._settings.bootstrap!r}: {error!r}") from error
        committed: dict[TopicPartition, tuple[int, str]] = {
            where: (found[where].offset, _noted_folder(found[where].metadata)) for where in places if where in found
        }
        if len(committed) < len(places) or any(folder != self._folder_id for _, folder in committed.values()):
            self._require_state(number, committed.values(), has_state=has_state)
            await self._note_folder({where: committed.get(where, (0, ""))[0] for where in places})
        return {(where.topic, where.partition): offset for where, (offset, _) in committed.items() if offset > 0}

    def _require_state(self, number: int, committed: Collection[tuple[int, str]], *, has_state: bool) -> None:
        """Raise ConfigurationError if state of a partition is in another folder, as what was committed tells."""
        others = {folder for _, folder in committed if folder} - {self._folder_id, self._in_place_of}
        if others:
            other = sorted(others)[0]
            raise ConfigurationError(
                f"{self._service} does not begin without state: the state of partition {number} is in another data "
                f"folder, that with the id {other} in its {self._service}.partitions.json, as group {self.name!r} has "
                f"noted; start this process with that --data. If that folder is lost, pass --in-place-of {other}: "
                "promotions are then read from their beginning, trials and ledger begin anew"
            )
        handled = any(offset > 0 and not folder for offset, folder in committed)
        if handled and not has_state and self._in_place_of != UNKNOWN_FOLDER:
            raise ConfigurationError(
                f"{self._service} does not begin without state: group {self.name!r} has handled events of partition "
                f"{number}, and the data folder has no state of them; start this process with the --data of the one "
                f"that handled them, or copy its snapshots/{self._service}.json into this folder's. If that is lost, "
                f"pass --in-place-of {UNKNOWN_FOLDER}: promotions are then read from their beginning, trials and "
                "ledger begin anew"
            )

    async def _note_folder(self, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            await self._commit(offsets)
        except (KafkaError, OSError, IllegalStateError) as error:
            raise RetryLater(f"group {self.name!r} takes no note of the data folder: {error!r}") from error

    async def commit(self, offsets: Offsets) -> None:
        """Commit the offsets that saved state covers; for whoever looks at the group's lag, and starts without state.

        A commit that fails, as in a rebalance or while the broker is away, is left to the next.
        """
        names = {topic.name for topic in self._topics}
        places = {
            TopicPartition(topic, number): offset for (topic, number), offset in offsets.items() if topic in names
        }
        if places:
            with contextlib.suppress(KafkaError, OSError, IllegalStateError):
                await self._commit(places)

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets, each with the folder that has the state up to there."""
        note = f"{_NOTE}{self._folder_id}"
        async with asyncio.timeout(_REQUEST_TIMEOUT_S):
            try:
                await self._consumer.commit({where: (offset, note) for where, offset in offsets.items()})
            except OffsetMetadataTooLargeError:
                if self._note_throttle():
                    _log.warning(
                        "the broker takes no note of %d bytes with an offset (offset.metadata.max.bytes), so that a "
                        "copy of %s with another data folder would not be refused",
                        len(note),
                        self._service,
                    )
                await self._consumer.commit(dict(offsets))

    async def stop(self) -> None:
        """Leave the group at once."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    @property
    def is_left_out(self) -> bool:
        """True if this process gets no work, as it shares no data folder with the others."""
        return self._assignor.is_left_out

    def _on_assigned(self) -> None:
        # Of a topic that has grown there are more, to which no task of the state belongs.
        self.owned = frozenset(number for number in self._assignor.owned if number < self._count)
        self.changed.set()
        if self._assignor.is_left_out:
            _log.error(
                "%s gets no work: the others in group %r share another data folder, and the state is there; start this "
                "one with their --data",
                self._service,
                self.name,
            )
        elif self._assignor.is_outdated:
            _log.warning(
                "%s stands by: the copies of a newer version in group %r have all partitions, whose state this one may "
                "not know; replace it by that version",
                self._service,
                self.name,
            )
        elif not self.owned:
            _log.info("%s stands by: there are more processes in group %r than partitions", self._service, self.name)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, group: PartitionGroup, consumer: Any) -> None:
        self._group = group
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        """Do nothing: at every rebalance all are revoked, and most of them come back."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] # awaited
        self._consumer.pause(*assigned)
        self._group._on_assigned()


def _noted_folder(note: str | None) -> str:
    """Return the id of the data folder that is noted with a committed offset; empty if none is."""
    return note.removeprefix(_NOTE) if note and note.startswith(_NOTE) else ""


def group_name(settings: BusSettings, service: str) -> str:
    """Return the name of a service's group; raises ConfigurationError if the settings know no groups."""
    if settings.group_prefix is None:
        raise ConfigurationError(
            "--partitioned needs a consumer group: set UNDERSTUDIES_BUS_GROUP_PREFIX, and use Apache Kafka"
        )
    return f"{settings.group_prefix}-{service}"


async def require_unshared(
    settings: BusSettings,
    service: str,
    topics: tuple[Topic, ...],
    in_place_of: str | None = None,
    own: str | None = None,
) -> None:
    """Raise ConfigurationError if a service's group has noted a data folder with state by partition.

    For a process without --partitioned, which would begin without that state. `in_place_of` is the id of a folder that
    is lost, `own` that of this process's folder if no copy has dealt out its state, as none could after it was noted.
    Raises RetryLater while the broker is unavailable.
    """
    if settings.group_prefix is None:
        return
    name = group_name(settings, service)
    options: Mapping[str, Any] = parse_security(build_security(settings))
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=",".join(bootstrap_servers(settings)), group_id=name, **options)
    places = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    try:
        async with asyncio.timeout(_COORDINATOR_TIMEOUT_S):
            await consumer.start()
            found = await consumer._coordinator.fetch_committed_offsets(places)
    except (KafkaError, OSError) as error:
        raise RetryLater(f"no broker at {settings.bootstrap!r}: {error!r}") from error
    finally:
        await stop_consumer(consumer)
    noted = {_noted_folder(one.metadata) for one in found.values()} - {"", in_place_of, own}
    if noted:
        folder = sorted(noted)[0]
        raise ConfigurationError(
            f"{service} does not begin without state: that is by partition, in the data folder with the id {folder} in "
            f"its {service}.partitions.json, as group {name!r} has noted; pass --partitioned, and that --data. If that "
            f"folder is lost, or given up, pass --in-place-of {folder}: promotions are then read from their beginning, "
            "trials and ledger begin anew"
        )


async def count_partitions(settings: BusSettings, topics: tuple[Topic, ...]) -> int:
    """Return how many partitions each of the topics has, which are made if they are missing.

    Raises ConfigurationError if they differ, and RetryLater while the broker is unavailable.
    """
    await ensure_topics(settings)
    options: Mapping[str, Any] = parse_security(build_security(settings))
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=",".join(bootstrap_servers(settings)), **options)
    try:
        await consumer.start()
        counts = {topic.name: len(await consumer._client._wait_on_metadata(topic.name)) for topic in topics}
    except (KafkaError, OSError) as error:
        raise RetryLater(f"no broker at {settings.bootstrap!r}: {error!r}") from error
    finally:
        await stop_consumer(consumer)
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ConfigurationError(
            f"--partitioned needs as many partitions of one topic as of the other, and {told}: add partitions to the "
            "smaller one before any service reads it"
        )
    return next(iter(counts.values()))


def _own_version() -> tuple[int, ...]:
    """Return the numbers of the version that is installed."""
    return tuple(int(part) for part in re.findall("[0-9]+", version("understudies")))
