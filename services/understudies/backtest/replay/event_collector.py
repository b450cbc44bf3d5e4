"""Subscribe to all four topics, as a user's own subscriber would, and keep what the report needs."""

import sys
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from understudies.backtest.replay.call_map import CallIds, CallMap
from understudies.events import TOPICS, Drift, Event, GateDecision, Invocation, Message, Promotion, Verdict, usd
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record
from understudies.runtime.lazy_sequence import LazySequence
from understudies.runtime.moments import Moments


@dataclass(frozen=True, slots=True)
class ObservedVerdict:
    """A verdict, with the fields that agreement over time needs."""

    at: datetime
    confidence: float
    agreed: bool
    audit: bool


class ObservedVerdicts(LazySequence[ObservedVerdict]):
    """Verdicts in the order of their arrival, each made anew when it is looked at."""

    def __init__(self) -> None:
        self._times = Moments()
        self._confidences = array("d")
        self._flags = bytearray()

    def __len__(self) -> int:
        return len(self._times)

    def append(self, verdict: ObservedVerdict) -> None:
        """Add a verdict at the end."""
        self._times.append(verdict.at)
        self._confidences.append(verdict.confidence)
        self._flags.append(verdict.agreed + 2 * verdict.audit)

    def _make(self, place: int) -> ObservedVerdict:
        flags = self._flags[place]
        return ObservedVerdict(self._times[place], self._confidences[place], bool(flags & 1), bool(flags & 2))


@dataclass(frozen=True, slots=True)
class PlayedCall:
    """What the report needs of a played call; calls that have all of it alike share one."""

    served_by: str
    student: str | None
    cost_usd: Decimal
    _answer: bytes | None

    @property
    def answer(self) -> Message | None:
        """The student's answer, if it served the call."""
        return None if self._answer is None else _read_answer(self._answer)


@lru_cache(maxsize=1000)
def _read_answer(written: bytes) -> Message:
    return Message.model_validate_json(written)


def _to_played(event: Invocation) -> PlayedCall:
    answer: bytes | None = None
    if event.served_by == "student" and event.response is not None:
        answer = event.response.message.model_dump_json(exclude_unset=True).encode("utf-8", "surrogatepass")
    student = event.student and sys.intern(event.student)
    return PlayedCall(sys.intern(event.served_by), student, event.cost_usd, answer)


class EventCollector:
    """The collected events: calls by id, audits and shadow answers by call, verdicts by student.

    `lifecycle_events` are in order of arrival. `shadow_students` holds for each call the students that answered it in
    shadow, `student_prices` the price of a student's answer, if known, and `student_judges` the name of the judge that
    compares it. `ids` are those of the calls that will be played: what is known beforehand takes less memory.
    """

    name = "witness"
    topics = TOPICS
    max_records = 2000

    def __init__(self, ids: CallIds | None = None) -> None:
        self.invocations: CallMap[PlayedCall] = CallMap(ids)
        self.audit_costs: CallMap[Decimal] = CallMap(ids)
        self.shadow_students: CallMap[tuple[str, ...]] = CallMap(ids)
        self.student_prices: dict[str, Decimal] = {}
        self.student_judges: dict[str, str] = {}
        self.verdicts: defaultdict[str, ObservedVerdicts] = defaultdict(ObservedVerdicts)
        self.lifecycle_events: list[Promotion | GateDecision | Drift] = []

    async def start(self) -> None:
        """Do nothing: there is nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Collect every event."""
        for _, event in decode_records(records)[0]:
            self._collect(event)

    def _collect(self, event: Event) -> None:
        if isinstance(event, Invocation):
            if event.audits is not None:
                so_far = self.audit_costs.get(event.audits, Decimal(0))
                self.audit_costs[event.audits] = usd(so_far + event.cost_usd)
            else:
                self.invocations[event.id] = _to_played(event)
        elif isinstance(event, Verdict):
            if event.phase != "self_agreement":
                self.student_judges[event.student] = event.judge
            if event.phase in ("validation", "shadow"):
                students = (*self.shadow_students.get(event.invocation, ()), sys.intern(event.student))
                self.shadow_students[event.invocation] = students
            if event.confidence is not None and (event.counts or (event.phase == "audit" and not event.spot_check)):
                verdict = ObservedVerdict(event.at, event.confidence, event.agreed, event.phase == "audit")
                self.verdicts[event.student].append(verdict)
        elif isinstance(event, Promotion | GateDecision | Drift):
            self.lifecycle_events.append(event)
            if isinstance(event, Promotion):
                self._collect_training(event)

    def _collect_training(self, event: Promotion) -> None:
        validation = event.evidence.get("validation")
        if isinstance(validation, dict) and "cost_per_call_usd" in validation:
            self.student_prices[event.student] = usd(str(validation["cost_per_call_usd"]))
        if isinstance(judge := event.evidence.get("judge"), str):
            self.student_judges.setdefault(event.student, judge)

    async def tick(self, now: datetime) -> None:
        """Do nothing: there is nothing to decide."""

    async def stop(self) -> None:
        """Do nothing: there is nothing to close."""
