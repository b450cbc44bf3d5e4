"""Send records that cannot be decoded to the dead-letter topic, and stop the service when there are too many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from understudies.events import BY_NAME, Event
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import StopService

DEAD_LETTERS: Final = "dead-letters"
"""Topic of the records that could not be decoded: their bytes, with the reason as a header."""

_MAX_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """Record that can never be handled, and the reason."""

    record: Record
    reason: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the dead letter: the reason and the record's original topic, partition and offset."""
        reason = self.reason[:_MAX_REASON_LENGTH].encode("ascii", "backslashreplace").decode()
        return {
            "reason": reason,
            "original-topic": self.record.topic,
            "original-partition": str(self.record.partition),
            "original-offset": str(self.record.offset),
        }


def decode_records(records: Sequence[Record]) -> tuple[list[tuple[Record, Event]], list[InvalidRecord]]:
    """Decode records; returns each valid record with its event, and the invalid ones with the reason."""
    decoded: list[tuple[Record, Event]] = []
    invalid: list[InvalidRecord] = []
    for record in records:
        try:
            decoded.append((record, _decode(record)))
        except ValidationError as error:
            invalid.append(InvalidRecord(record, format_reason(error)))
    return decoded, invalid


def _decode(record: Record) -> Event:
    """Return the event of a record; events are immutable, so the services of a process may share them."""
    cache = record.events
    event = None if cache is None else cache.get(record)
    if event is None:
        event = BY_NAME[record.topic].decode(record.value)
        if cache is not None:
            cache.put(record, event)
    return event


def format_reason(error: ValidationError) -> str:
    """Return why a value is no event, without quoting it."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'value'}: {p['msg']}" for p in problems)


class DeadLetterLimit:
    """Stop a service that can decode nothing: its own version is more likely at fault than all producers."""

    def __init__(self, max_consecutive: int = 100) -> None:
        self._max_consecutive = max_consecutive
        self._consecutive = 0

    def check(self, records: Sequence[Record], invalid: Sequence[InvalidRecord]) -> None:
        """Count consecutive invalid records; raises StopService beyond the limit."""
        if not invalid:
            self._consecutive = 0
            return
        bad = {(p.record.topic, p.record.partition, p.record.offset) for p in invalid}
        for record in records:
            where = (record.topic, record.partition, record.offset)
            self._consecutive = self._consecutive + 1 if where in bad else 0
            if self._consecutive > self._max_consecutive:
                raise StopService(
                    f"more than {self._max_consecutive} consecutive records cannot be decoded, the last at {where!r}; "
                    "compare the versions of this service and of the producers, then restart it"
                )
