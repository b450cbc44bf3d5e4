"""The sink: insert every event into its table unchanged, and dead-letter what the store rejects."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from understudies.events import INVOCATIONS, VERDICTS
from understudies.observer.plausible_call import is_plausible_call
from understudies.runtime.bus.bus import Bus
from understudies.runtime.bus.dead_letters import InvalidRecord, decode_records
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import Reject
from understudies.runtime.store import Store

_GATE_DECISION_PATTERN: Final = re.compile(rb'"type"\s*:\s*"gate_decision"')
"""Cannot match inside a JSON string, where quotes are escaped."""


class StoreSink:
    """Insert calls without decoding them, unless their form is odd or the store rejects their batch.

    With `buffer_bytes`, records wait in memory until they are as many bytes or `flush` is called: the store takes one
    large batch at a tenth of what it takes for many small ones. What waits is lost with the process.
    """

    def __init__(self, store: Store, bus: Bus, *, buffer_bytes: int = 0) -> None:
        self._store = store
        self._bus = bus
        self._buffer_bytes = buffer_bytes
        self._waiting: list[Record] = []
        self._waiting_bytes = 0

    async def insert(self, records: Sequence[Record]) -> None:
        """Store all records that the store accepts, dead-letter the others, then return; or let them wait."""
        if not self._buffer_bytes:
            await self._insert(records)
            return
        self._waiting += records
        self._waiting_bytes += sum(len(record.value) for record in records)
        if self._waiting_bytes >= self._buffer_bytes:
            await self.flush()

    async def flush(self) -> None:
        """Store what waits; if that fails, it waits on."""
        taken, size = self._waiting, self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        try:
            await self._insert(taken)
        except BaseException:
            self._waiting, self._waiting_bytes = taken + self._waiting, size + self._waiting_bytes
            raise

    async def _insert(self, records: Sequence[Record]) -> None:
        good, poison = _split_json_objects(records)
        odd = [r for r in good if r.topic != INVOCATIONS.name or not is_plausible_call(r.value)]
        if invalid := decode_records(odd)[1]:
            poison += invalid
            refused = {(one.record.topic, one.record.partition, one.record.offset) for one in invalid}
            good = [r for r in good if (r.topic, r.partition, r.offset) not in refused]
        for table, rows in _group_by_table(good).items():
            poison += await self._insert_table(table, rows)
        await self._bus.dead_letter(records, poison)

    async def _insert_table(self, table: str, records: Sequence[Record]) -> list[InvalidRecord]:
        try:
            await self._store.insert(table, [record.value for record in records])
        except Reject:
            decoded, poison = decode_records(records)
            return poison + await self._insert_bisecting(table, [record for record, _ in decoded])
        return []

    async def _insert_bisecting(self, table: str, records: Sequence[Record]) -> list[InvalidRecord]:
        """Bisect a rejected batch until each invalid record is isolated."""
        try:
            await self._store.insert(table, [record.value for record in records])
        except Reject as error:
            if len(records) == 1:
                return [InvalidRecord(records[0], str(error))]
            middle = len(records) // 2
            return await self._insert_bisecting(table, records[:middle]) + await self._insert_bisecting(
                table, records[middle:]
            )
        return []


def _group_by_table(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Group the records by the table of their event, derived from topic and bytes."""
    tables: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        tables[record.topic].append(record)
    if verdicts := tables.pop(VERDICTS.name, []):
        decisions = [record for record in verdicts if _GATE_DECISION_PATTERN.search(record.value)]
        others = [record for record in verdicts if not _GATE_DECISION_PATTERN.search(record.value)]
        tables |= {table: rows for table, rows in (("gate_decisions", decisions), (VERDICTS.name, others)) if rows}
    return tables


def _split_json_objects(records: Sequence[Record]) -> tuple[list[Record], list[InvalidRecord]]:
    """Separate the records that may be JSON objects from those that cannot be.

    The store silently accepts arrays, empty values and broken UTF-8.
    """
    good = [record for record in records if record.value.lstrip().startswith(b"{")]
    poison: list[InvalidRecord] = []
    if len(good) < len(records):
        poison = [InvalidRecord(r, "not a JSON object") for r in records if not r.value.lstrip().startswith(b"{")]
    if not _is_utf8(b"".join(record.value for record in good)):
        poison += [InvalidRecord(record, "not UTF-8") for record in good if not _is_utf8(record.value)]
        good = [record for record in good if _is_utf8(record.value)]
    return good, poison


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
