"""Destinations of recorded calls: Kafka, or a file on this machine."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    IllegalArgumentError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    RecordListTooLargeError,
    RecordTooLargeError,
)

from understudies.client.corpus_line import to_corpus_line
from understudies.client.spool import BusMessage
from understudies.events import Event, Invocation, Topic

log = logging.getLogger("understudies.client")

Rejections = Mapping[int, str]
"""The events of a batch that a sink refuses for good: the reason by the index in the batch."""


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An encoded event, ready for delivery."""

    event: Event
    topic: Topic
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Sink(Protocol):
    """A destination that accepts events in order."""

    async def write(self, batch: Sequence[OutgoingEvent]) -> Rejections:
        """Deliver the batch, retrying as long as necessary; returns the events refused for good."""
        ...

    async def retry(self) -> bool:
        """Deliver what waits on disk, if it is time to; return whether something still waits."""
        ...

    async def stop(self) -> None:
        """Close all connections."""
        ...


class CorpusSink:
    """Appends answered calls to a JSON Lines file, which several processes may share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, batch: Sequence[OutgoingEvent]) -> Rejections:
        """Append the batch's answered calls in one write."""
        calls = [out.event for out in batch if isinstance(out.event, Invocation)]
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in map(to_corpus_line, calls) if line is not None)
        try:
            self._append(lines)
        except OSError as error:
            return {place: repr(error) for place in range(len(batch))}
        return {}

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while lines:
                lines = lines[os.write(file, lines) :]
        finally:
            os.close(file)

    async def retry(self) -> bool:
        """Do nothing: nothing waits."""
        return False

    async def stop(self) -> None:
        """Do nothing: no file stays open between writes."""


class KafkaSink:
    """Publishes to Kafka and retries until it succeeds; events with a non-retriable error are refused.

    `at_risk` says what is lost while the broker is unavailable, in the first log line about it.
    """

    def __init__(self, bootstrap: str, max_bytes: int, options: Mapping[str, Any], at_risk: str = "") -> None:
        self._options = {
            "bootstrap_servers": bootstrap,
            "client_id": "understudies-sdk",
            "acks": "all",
            "linger_ms": 5,
            "request_timeout_ms": 10_000,
            "max_request_size": max_bytes + 65_536,
            **options,
        }
        self._producer: AIOKafkaProducer | None = None
        self._backoff_s = _MIN_BACKOFF_S
        self._next_log_at = 0.0
        self._at_risk = at_risk
        self._timestamp_ms: int | None = None

    async def write(self, batch: Sequence[OutgoingEvent]) -> Rejections:
        """Publish the batch; while the broker is unavailable, wait for it."""
        messages = [to_message(out) for out in batch]
        refused: dict[int, str] = {}
        missing: Sequence[int] = range(len(batch))
        while missing:
            missing = await self.attempt(messages, missing, refused)
            if missing:
                await asyncio.sleep(self.next_backoff_s())
        return refused

    async def retry(self) -> bool:
        """Do nothing: nothing waits on disk."""
        return False

    async def attempt(
        self, messages: Sequence[BusMessage], places: Sequence[int], refused: dict[int, str]
    ) -> Sequence[int]:
        """Send the messages at these places once; return those not delivered, and add those refused for good."""
        try:
            return await self._send(messages, places, refused)
        except (KafkaError, OSError) as error:
            self._log_unavailable(error)
            await self._discard_producer()
            return places

    def next_backoff_s(self) -> float:
        """Return the wait before the next attempt, which doubles each time."""
        wait = self._backoff_s
        self._backoff_s = min(wait * 2, _MAX_BACKOFF_S)
        return wait

    async def give_up(self) -> None:
        """Discard the producer, whose broker answers nothing."""
        self._log_unavailable(TimeoutError("no answer"))
        await self._discard_producer()

    async def stop(self) -> None:
        """Disconnect from Kafka."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _send(self, messages: Sequence[BusMessage], places: Sequence[int], refused: dict[int, str]) -> list[int]:
        producer = await self._get_producer()
        sent: dict[int, Any] = {}
        for place in places:
            topic, key, value, headers = messages[place]
            try:
                sent[place] = await producer.send(
                    topic, value, key=key, headers=list(headers), timestamp_ms=self._timestamp_ms
                )
            except KafkaError as error:
                sent[place] = error
        outcomes = await asyncio.gather(*map(_await_delivery, sent.values()))
        again: list[int] = []
        for place, problem in zip(sent, outcomes, strict=True):
            if problem is None:
                self._backoff_s = _MIN_BACKOFF_S
            elif isinstance(problem, _NON_RETRIABLE):
                refused[place] = repr(problem)
            else:
                self._log_unavailable(problem)
                again.append(place)
        await self._adapt(outcomes)
        return again

    async def _adapt(self, problems: Sequence[KafkaError | None]) -> None:
        """Send no timestamps to a broker that finds this clock wrong, and replace a producer that lost its sequence."""
        if any(isinstance(problem, InvalidTimestampError) for problem in problems):
            self._timestamp_ms = _NO_TIMESTAMP
        if any(isinstance(problem, _LOST_SEQUENCE) for problem in problems):
            await self._discard_producer()

    async def _get_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(**self._options)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    def _log_unavailable(self, error: BaseException) -> None:
        now = time.monotonic()
        if now >= self._next_log_at:
            self._next_log_at = now + 60
            at_risk, self._at_risk = self._at_risk, ""
            where = self._options["bootstrap_servers"]
            log.warning("the bus at %r is unavailable, calls wait%s: %r", where, at_risk and f" {at_risk}", error)

    async def _discard_producer(self) -> None:
        try:
            await self.stop()
        except (KafkaError, OSError) as error:
            log.debug("producer did not stop cleanly: %r", error)


def to_message(out: OutgoingEvent) -> BusMessage:
    """Return the message of an event."""
    key = out.topic.key(out.event).encode("utf-8", "replace")
    return BusMessage(out.topic.name, key, out.value, out.headers)


_MIN_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 5.0
_NON_RETRIABLE = (
    CorruptRecordException,
    IllegalArgumentError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
)
"""Errors that another attempt cannot cure; all others are retried."""
_LOST_SEQUENCE = (OutOfOrderSequenceNumber, ProducerFenced)
"""Errors after which an idempotent producer delivers nothing more to the partition."""
_NO_TIMESTAMP = -1


async def _await_delivery(sent: Any) -> KafkaError | None:
    if isinstance(sent, KafkaError):
        return sent
    try:
        await sent
    except KafkaError as error:
        return error
    return None
