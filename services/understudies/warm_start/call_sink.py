"""Add imported calls to an installation: to its bus and its store, each once."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from pydantic import ValidationError

from understudies.events import Event, Invocation, encode, own_task
from understudies.redaction.packs import build_redactor
from understudies.redaction.redactor import Redactor, redacted
from understudies.runtime.bus.publisher import Undeliverable
from understudies.runtime.errors import Reject, RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.source import RulesSource
from understudies.runtime.store import Store
from understudies.warm_start.counts import ImportCounts
from understudies.warm_start.settings import ImportSettings

_log = logging.getLogger(__name__)

_KNOWN_IDS: Final = """
SELECT id FROM invocations
WHERE task IN {tasks:Array(String)} AND at BETWEEN {first:DateTime64(6, 'UTC')} AND {last:DateTime64(6, 'UTC')}
    AND id IN {ids:Array(String)}
"""
_EPOCH: Final = datetime(1971, 1, 2, tzinfo=UTC)
_END: Final = datetime(2200, 1, 1, tzinfo=UTC)


class InvalidImport(ValueError):  # noqa: N818 - named by what is wrong
    """Report a line that is no imported call."""


class EventPublisher(Protocol):
    """The part of the bus that imports use."""

    async def publish(self, *events: Event) -> None: ...


class CallSink:
    """Adds imported calls; without a bus to the store alone, for an installation that is not running.

    Its services fold what was stored meanwhile when it starts.
    """

    def __init__(
        self,
        settings: ImportSettings,
        *,
        store: Store,
        bus: EventPublisher | None,
        rules: RulesSource,
        now: Callable[[], datetime],
    ) -> None:
        self._span = timedelta(hours=settings.evidence_hours)
        self._store = store
        self._bus = bus
        self._rules = rules
        self._now = now
        self._redactor = rules.derive(_build_redactor)
        self._adding = asyncio.Lock()

    async def add(self, lines: Sequence[bytes]) -> ImportCounts:
        """Add the calls among those lines of JSON that are not stored yet; returns once they are.

        Raises InvalidImport for a line that is none, and RetryLater while bus or store are unavailable: the same calls
        can be added again.
        """
        async with self._adding:
            read = await asyncio.to_thread(self._read, lines)
            calls = [call for call, _ in read]
            stored = await self._fetch_known(calls, has_own_times=all(has_own for _, has_own in read))
            new = [call for call in calls if call.id not in stored]
            delivered = await self._publish(new)
            await self._keep(delivered)
        return ImportCounts(
            added=len(delivered),
            known=len(calls) - len(new),
            too_large=len(new) - len(delivered),
            evidence=sum(not call.training_only for call in delivered),
        )

    def _read(self, lines: Sequence[bytes]) -> list[tuple[Invocation, bool]]:
        """Return the calls as they are to be added, each with whether it has a time of its own."""
        redact, rules, now = self._redactor.value, self._rules.current(), self._now()
        return [self._prepare(line, number, redact, rules, now) for number, line in enumerate(lines, 1)]

    def _prepare(
        self, line: bytes, number: int, redact: Redactor, rules: Rules, now: datetime
    ) -> tuple[Invocation, bool]:
        try:
            call = Invocation.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            raise InvalidImport(f"call {number}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
        if call.origin != "imported" or call.served_by != "teacher" or call.response is None:
            raise InvalidImport(f"call {number} is not an imported call that a teacher answered")
        tenant = rules.tenants.get(call.tenant)
        names = {"task": own_task(call.tenant, call.task)} if tenant and tenant.owns(call.task) else {}
        too_old = call.training_only or now - call.at > self._span
        changed = call.model_copy(update={"training_only": too_old, **names})
        return redacted(changed, redact), not call.training_only

    async def _fetch_known(self, calls: Sequence[Invocation], *, has_own_times: bool) -> set[str]:
        """Return the ids that are stored already; a call that the log gives no time may be stored with any."""
        if not calls:
            return set()
        times = [call.at for call in calls] if has_own_times else [_EPOCH, _END]
        rows = await self._store.query(
            _KNOWN_IDS,
            {
                "tasks": sorted({call.task for call in calls}),
                "first": _format_time(min(times)),
                "last": _format_time(max(times)),
                "ids": [call.id for call in calls],
            },
        )
        return {row["id"] for row in rows}

    async def _publish(self, calls: Sequence[Invocation]) -> list[Invocation]:
        """Publish calls; returns those that the bus accepts."""
        if self._bus is None or not calls:
            return list(calls)
        try:
            await self._bus.publish(*calls)
        except Undeliverable as error:
            left = frozenset(error.rejected)
            return [call for place, call in enumerate(calls) if place not in left]
        return list(calls)

    async def _keep(self, calls: Sequence[Invocation]) -> None:
        """Store calls at once: the next import finds them, and a kill of an embedded broker does not lose them."""
        try:
            await self._store.insert("invocations", [encode(call) for call in calls])
        except (RetryLater, Reject) as error:
            if self._bus is None:
                raise
            _log.warning("imported calls were published, and are stored later: %s", error)


def _build_redactor(rules: Rules) -> Redactor:
    return build_redactor(rules.router.redact_packs, rules.router.redact_patterns)


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
