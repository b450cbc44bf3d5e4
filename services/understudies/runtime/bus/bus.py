"""Define the connection of a service to the topics: publish events, and consume topics in batches, at least once."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from aiokafka.errors import MessageSizeTooLargeError
from opentelemetry.trace import NoOpTracer, Tracer

from understudies.events import Event, Topic
from understudies.runtime.bus.dead_letters import DEAD_LETTERS, DeadLetterLimit, InvalidRecord, decode_records
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.bus.messages import BatchHandler, BusMessage, Offsets, Record, encode_message
from understudies.runtime.bus.publisher import NotDelivered, Undeliverable
from understudies.runtime.errors import RetryLater, StopService
from understudies.runtime.settings import MAX_MESSAGE_BYTES, BusSettings
from understudies.runtime.telemetry import trace_headers

log = logging.getLogger(__name__)

_DECODE_BATCH: Final = 100
"""Records to decode before yielding to the event loop: a few milliseconds of work."""
_SHORTENED_BYTES: Final = 1024
"""Bytes kept of a dead letter that is too large for its topic."""
_MIN_RETRY_DELAY_S: Final = 0.05
_MAX_RETRY_DELAY_S: Final = 30.0


class Bus(ABC):
    """Connection of one service to the topics."""

    def __init__(
        self,
        settings: BusSettings,
        service: str,
        in_flight: InFlightTracker | None = None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self.service = service
        self.settings = settings
        self._in_flight = in_flight
        self._tracer = tracer or NoOpTracer()
        self._dead_letter_limit = DeadLetterLimit()
        self._attempts = 0
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._stopped = asyncio.Event()

    @abstractmethod
    def consume(
        self,
        topics: Sequence[Topic],
        handler: BatchHandler,
        *,
        max_records: int = 2000,
        start: Callable[[], Offsets] = dict,
        on_assigned: Callable[[Offsets], Awaitable[None]] | None = None,
        on_revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Call `handler` with batches of the topics' records, once `start()` has connected.

        The handler gets one batch at a time, in order within a partition. Whenever the group makes this process its
        owner, it begins at the offsets that `start` returns then, which override the committed ones; `on_assigned` is
        awaited with the offsets at which the other partitions begin. `on_revoked` is awaited before another process may
        become the owner.
        """

    @abstractmethod
    async def start(self) -> None:
        """Connect and begin to consume; raises RetryLater while the broker is unavailable, and may be called again."""

    @abstractmethod
    async def stop(self) -> None:
        """Let the running handler finish, then disconnect, and leave the group at once."""

    async def wait_stopped(self) -> None:
        """Wait until the bus is stopped; raises the error that ended consumption."""
        await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    @property
    @abstractmethod
    def assignment_count(self) -> int:
        """How often partitions were assigned to this process; 0 while it has none: it then stands by for the owner."""

    @abstractmethod
    async def fetch_end_offsets(self, consumed: Offsets, topics: Collection[Topic] | None = None) -> Offsets:
        """Return the end offsets of the partitions of `topics` that this service reads, reading on from `consumed`.

        Raises RetryLater while the broker is unavailable.
        """

    @abstractmethod
    def known_end_offsets(self) -> Offsets:
        """Return the end offsets of the partitions that this service reads, as the broker told with the last records.

        Asks nothing of the broker; a partition of which nothing is known yet is left out.
        """

    @property
    def topic_ids(self) -> Mapping[str, str]:
        """The ids of the topics that this service reads: one made anew has another id. Empty where none are told."""
        return {}

    @abstractmethod
    async def fetch_committed_offsets(self) -> Offsets:
        """Return the committed offsets of this service's group by partition; empty if it consumes without a group.

        Raises RetryLater while the broker is unavailable.
        """

    async def publish(self, *events: Event) -> None:
        """Send events and wait until the broker has all of them.

        Raises RetryLater if it has not: some may have arrived, so publish the same events again, with unchanged ids.
        Raises Reject for an event above 32 MB or above what its topic takes.
        """
        await self.publish_encoded([self.to_message(event) for event in events])

    @property
    def tracer(self) -> Tracer:
        """The tracer of the service, which makes no spans unless traces are exported."""
        return self._tracer

    def to_message(self, event: Event) -> BusMessage:
        """Encode an event of this service as a message."""
        return encode_message(event, self.service)

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        """Send messages and wait until the broker has all of them; those with one key arrive in the given order.

        Raises NotDelivered (retry later) or Undeliverable (the broker will never accept them); each lists the messages
        concerned, and all the others have arrived.
        """
        trace = tuple((name, value.encode()) for name, value in trace_headers().items())
        if trace:
            messages = [message._replace(headers=(*message.headers, *trace)) for message in messages]
        await self._send(messages)

    async def decode_events(self, records: Sequence[Record]) -> list[Event]:
        """Decode the events of the records; send records that cannot be decoded to the dead letters."""
        events: list[Event] = []
        for first in range(0, len(records), _DECODE_BATCH):
            part = records[first : first + _DECODE_BATCH]
            decoded, invalid = decode_records(part)
            await self.dead_letter(part, invalid)
            events += await self._keep_own(decoded)
            await asyncio.sleep(0)
        return events

    async def _keep_own(self, decoded: Sequence[tuple[Record, Event]]) -> list[Event]:
        """Return the events that are this process's to handle: all of them, unless it reads some partitions alone."""
        return [event for _, event in decoded]

    async def dead_letter(self, records: Sequence[Record], invalid: Sequence[InvalidRecord]) -> None:
        """Send invalid records to the dead letters; raises StopService if there are too many."""
        self._dead_letter_limit.check(records, invalid)
        for one in invalid:
            log.warning("%s: sent %s to the dead letters: %s", self.service, one.headers, one.reason[:200])
        await self._send_dead_letters([_to_dead_letter(one) for one in invalid])

    async def dead_letter_events(self, events: Sequence[Event], reason: str) -> None:
        """Send events that no broker takes on their own topic to the dead letters, and log that they are lost to it."""
        letters: list[BusMessage] = []
        for event in events:
            message = self.to_message(event)
            headers = (
                ("reason", reason.encode("ascii", "backslashreplace")),
                ("original-topic", message.topic.encode()),
            )
            letters.append(message._replace(topic=DEAD_LETTERS, headers=headers))
            log.error("%s: sent event %s for %r to the dead letters: %s", self.service, event.id, message.topic, reason)
        await self._send_dead_letters(letters)

    async def _send_dead_letters(self, letters: Sequence[BusMessage]) -> None:
        """Send dead letters; of those too large for their topic, send the beginning alone."""
        try:
            await self._send(letters)
        except Undeliverable as error:
            await self._send([_shorten(letters[index]) for index in error.rejected])

    @property
    def is_tracked(self) -> bool:
        """True if events in flight are counted: a tick then comes only after the service has handled all of them."""
        return self._in_flight is not None

    def hold_open(self) -> AbstractContextManager[None]:
        """Mark work outside the handler: if events in flight are counted, it is awaited as handlers are."""
        return nullcontext() if self._in_flight is None else self._in_flight.hold_open(self.service)

    # Publishing

    async def _send(self, messages: Sequence[BusMessage]) -> None:
        """Count the messages, send them and wait for all; subtract those that were not sent."""
        self._record_published(Counter(message.topic for message in messages))
        try:
            outcomes = await self._deliver(messages)
        except BaseException:
            self._record_published(Counter(message.topic for message in messages), -1)
            raise
        problems = {index: problem for index, problem in enumerate(outcomes) if problem is not None}
        if problems:
            self._record_published(Counter(messages[index].topic for index in problems), -1)
            raise _publish_error(messages, problems)

    @abstractmethod
    async def _deliver(self, messages: Sequence[BusMessage]) -> Sequence[BaseException | None]:
        """Send messages and wait until they have arrived; return the error of each message, None if it arrived."""

    def _record_published(self, topics: Counter[str], sign: int = 1) -> None:
        if self._in_flight is not None:
            for topic, n in topics.items():
                self._in_flight.record_published(topic, sign * n)

    # Consuming

    def _record_consumed(self, records: Sequence[Record]) -> None:
        if self._in_flight is not None:
            for topic, n in Counter(record.topic for record in records).items():
                self._in_flight.record_consumed(self.service, topic, n)

    async def _back_off(self, error: Exception) -> None:
        """Wait before the batch is redelivered; wait until the bus stops if it must not be."""
        self._attempts += 1
        patient = isinstance(error, RetryLater) and self._in_flight is None
        final = isinstance(error, StopService) or (self._attempts >= self.settings.max_attempts and not patient)
        if isinstance(error, RetryLater) and not final:
            # Another service is away, which is no fault of the code: a trace for each attempt would hide one that is.
            log.error("%s: attempt %d of a batch failed: %s", self.service, self._attempts, error)
        else:
            log.log(
                logging.CRITICAL if final else logging.ERROR,
                "%s: attempt %d of a batch failed", self.service, self._attempts, exc_info=error,
            )  # fmt: skip
        if final:
            self._fail(error)
        delay = min(_MAX_RETRY_DELAY_S, _MIN_RETRY_DELAY_S * 2 ** min(self._attempts - 1, 16))
        try:
            await asyncio.wait_for(self._stopping.wait(), None if final else delay)
        except TimeoutError:
            return

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._stopped.set()
        if self._in_flight is not None:
            self._in_flight.record_failure(self.service, error)


def _to_dead_letter(invalid: InvalidRecord) -> BusMessage:
    headers = tuple((name, value.encode()) for name, value in invalid.headers.items())
    return BusMessage(DEAD_LETTERS, invalid.record.value, invalid.record.key, headers)


def _shorten(letter: BusMessage) -> BusMessage:
    size = str(len(letter.value)).encode()
    return letter._replace(
        value=letter.value[:_SHORTENED_BYTES], headers=(*letter.headers, ("shortened-from-bytes", size))
    )


def _publish_error(
    messages: Sequence[BusMessage], problems: Mapping[int, BaseException]
) -> Undeliverable | NotDelivered:
    index, first = next(iter(problems.items()))
    topic = messages[index].topic
    if all(isinstance(problem, MessageSizeTooLargeError) for problem in problems.values()):
        return Undeliverable(
            f"an event for {topic!r} exceeds {MAX_MESSAGE_BYTES} bytes or its topic's max.message.bytes: shorten it",
            list(problems),
        )
    return NotDelivered(
        f"{len(problems)} of {len(messages)} events did not reach the broker, the first for {topic!r}: {first!r}",
        list(problems),
    )
