"""Make the invocations of a recorded log: each with a time, a task, and an id that is the same at every import."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from pydantic import ValidationError

from understudies.events import Invocation, Templates, derived_id
from understudies.importers.events import to_invocation
from understudies.importers.recorded_call import RecordedCall, SkippedLine
from understudies.importers.task_names import sanitize_task_name

AssignTimes = Callable[[Sequence[RecordedCall]], list[tuple[datetime, RecordedCall]]]
"""Gives every call a time, oldest first."""

_MAX_AHEAD: Final = timedelta(minutes=10)
"""How much the clock of the log may be ahead."""
_UNDATED: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands in the ids of calls that the log gives no time."""


@dataclass(slots=True)
class PreparedLog:
    """The invocations of a log, oldest first, the calls that cannot be one, and how many had no plausible time."""

    invocations: list[Invocation] = field(default_factory=list)
    skipped: list[SkippedLine] = field(default_factory=list)
    undated: int = 0


def prepare_log(
    calls: Sequence[RecordedCall],
    assign_times: AssignTimes,
    now: datetime,
    *,
    tenant: str = "default",
    teacher_price: Decimal | None = None,
) -> PreparedLog:
    """Return the invocations of recorded calls.

    A call without a name gets the task that a router would find by its system prompt. One without a time of its own
    counts for training alone, whatever time it is given, as its age is unknown.
    """
    prepared = PreparedLog()
    known = [_without_future(call, now) for call in calls]
    prepared.undated = sum(call.at is None for call in known)
    templates, occurrences = Templates(), Counter[str]()
    for at, call in assign_times(known):
        named = sanitize_task_name(call.task) if call.task else None
        key = _content_key(call, tenant)
        occurrences[key] += 1
        try:
            event = to_invocation(
                call if teacher_price is None else replace(call, recorded_cost=teacher_price),
                event_id=derived_id(call.at or _UNDATED, f"{key}/{occurrences[key]}"),
                at=at,
                task=named or templates.task_of(call.request),
                tenant=tenant,
                origin="imported",
            )
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            reason = f"{'.'.join(map(str, problem['loc'][:4]))}: {problem['msg']}"
            prepared.skipped.append(SkippedLine(call.line, reason))
            continue
        prepared.invocations.append(event if at == call.at else event.model_copy(update={"training_only": True}))
    return prepared


def _without_future(call: RecordedCall, now: datetime) -> RecordedCall:
    return replace(call, at=None) if call.at is not None and call.at > now + _MAX_AHEAD else call


def _content_key(call: RecordedCall, tenant: str) -> str:
    """Return what tells a call from others of its log, before anything is redacted."""
    answer = hashlib.blake2b(call.response.model_dump_json().encode("utf-8", "surrogatepass"), digest_size=16)
    at = call.at.isoformat() if call.at else ""
    return "\0".join((tenant, call.task or "", at, call.model, call.fingerprint, answer.hexdigest()))


def batches(invocations: Sequence[Invocation], max_calls: int, max_bytes: int) -> Iterator[list[bytes]]:
    """Yield the invocations as JSON, in batches of some calls and bytes; a larger call is a batch of its own."""
    batch: list[bytes] = []
    size = 0
    for invocation in invocations:
        line = invocation.model_dump_json(exclude_defaults=True).encode("utf-8", "replace")
        if batch and (len(batch) == max_calls or size + len(line) > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield batch
