"""Subscribe to all four topics, as a user's own subscriber would, and keep what the report needs."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from understudies.events import TOPICS, Drift, Event, GateDecision, Invocation, Message, Promotion, Verdict, usd
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record

_MAX_SHARED: Final = 10_000
"""Answers and costs of which calls share one: a task with more of them hardly repeats any."""


@dataclass(frozen=True, slots=True)
class ObservedVerdict:
    """A verdict, with the fields that agreement over time needs."""

    at: datetime
    confidence: float
    agreed: bool
    audit: bool


@dataclass(slots=True)
class PlayedCall:
    """What the report needs of a played call; `agreed` is what a comparison of its answer found, once there was one."""

    id: str
    served_by: str
    student: str | None
    cost_usd: Decimal
    _answer: bytes | None
    agreed: bool | None = None

    @property
    def answer(self) -> Message | None:
        """The student's answer, if it served the call."""
        return None if self._answer is None else _read_answer(self._answer)


@lru_cache(maxsize=1000)
def _read_answer(written: bytes) -> Message:
    return Message.model_validate_json(written)


class EventCollector:
    """The collected events: calls by id, audits and shadow answers by call, verdicts by student.

    `lifecycle_events` are in order of arrival. `shadow_students` holds for each call the students that answered it in
    shadow, `student_prices` the price of a student's answer, if known, and `student_judges` the name of the judge that
    compares it.
    """

    name = "witness"
    topics = TOPICS
    max_records = 2000

    def __init__(self) -> None:
        self.invocations: dict[str, PlayedCall] = {}
        self._answers: dict[bytes, bytes] = {}
        self._costs: dict[str, Decimal] = {}
        self.audit_costs: dict[str, Decimal] = {}
        self.shadow_students: dict[str, tuple[str, ...]] = {}
        self._student_groups: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.student_prices: dict[str, Decimal] = {}
        self.student_judges: dict[str, str] = {}
        self.verdicts: defaultdict[str, list[ObservedVerdict]] = defaultdict(list)
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
                call = self._shared_id(event.audits)
                self.audit_costs[call] = usd(self.audit_costs.get(call, Decimal(0)) + event.cost_usd)
            else:
                self.invocations[event.id] = self._to_played(event)
        elif isinstance(event, Verdict):
            if event.phase != "self_agreement":
                self.student_judges[event.student] = event.judge
            if event.phase in ("validation", "shadow"):
                call = self._shared_id(event.invocation)
                students = (*self.shadow_students.get(call, ()), sys.intern(event.student))
                self.shadow_students[call] = self._student_groups.setdefault(students, students)
            if event.confidence is not None and (event.counts or (event.phase == "audit" and not event.spot_check)):
                verdict = ObservedVerdict(event.at, event.confidence, event.agreed, event.phase == "audit")
                self.verdicts[event.student].append(verdict)
        elif isinstance(event, Promotion | GateDecision | Drift):
            self.lifecycle_events.append(event)
            if isinstance(event, Promotion):
                self._collect_training(event)

    def _shared_id(self, call: str) -> str:
        """Return the id as its call has it, if that was collected: many events name the same call."""
        played = self.invocations.get(call)
        return call if played is None else played.id

    def _to_played(self, event: Invocation) -> PlayedCall:
        """Return what is needed of a call, sharing what many have alike."""
        answer: bytes | None = None
        if event.served_by == "student" and event.response is not None:
            written = event.response.message.model_dump_json(exclude_unset=True).encode("utf-8", "surrogatepass")
            answer = self._answers.get(written, written)
            if len(self._answers) < _MAX_SHARED:
                self._answers[answer] = answer
        cost = self._costs.get(str(event.cost_usd), event.cost_usd)
        if len(self._costs) < _MAX_SHARED:
            self._costs[str(cost)] = cost
        student = event.student and sys.intern(event.student)
        return PlayedCall(event.id, sys.intern(event.served_by), student, cost, answer)

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
