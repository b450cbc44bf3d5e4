"""Listens to all four topics, as a user's own subscriber would, and keeps what the report needs."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from understudies.events import TOPICS, Drift, Event, GateDecision, Invocation, Promotion, Verdict, usd
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record


@dataclass(frozen=True, slots=True)
class ObservedVerdict:
    """One verdict, as far as agreement over time needs it."""

    at: datetime
    confidence: float
    agreed: bool
    audit: bool


class EventCollector:
    """What was seen: calls by id, audits and answers in shadow by call, verdicts by student, the story in order.

    `shadow_students` names for each call the students that answered it in shadow; `student_prices` tells what an answer
    of theirs costs, where it is known, and `student_judges` the name of the judge that compares it.
    """

    name = "witness"
    topics = TOPICS
    max_records = 2000

    def __init__(self) -> None:
        self.invocations: dict[str, Invocation] = {}
        self.audit_costs: dict[str, Decimal] = {}
        self.shadow_students: defaultdict[str, list[str]] = defaultdict(list)
        self.student_prices: dict[str, Decimal] = {}
        self.student_judges: dict[str, str] = {}
        self.verdicts: defaultdict[str, list[ObservedVerdict]] = defaultdict(list)
        self.lifecycle_events: list[Promotion | GateDecision | Drift] = []

    async def start(self) -> None:
        """Nothing to open."""

    async def handle(self, records: Sequence[Record]) -> None:
        """Take note of every event."""
        for _, event in decode_records(records)[0]:
            self._collect(event)

    def _collect(self, event: Event) -> None:
        if isinstance(event, Invocation):
            if event.audits is not None:
                self.audit_costs[event.audits] = usd(self.audit_costs.get(event.audits, Decimal(0)) + event.cost_usd)
            else:
                self.invocations[event.id] = event
        elif isinstance(event, Verdict):
            if event.phase != "self_agreement":
                self.student_judges[event.student] = event.judge
            if event.phase in ("validation", "shadow"):
                self.shadow_students[event.invocation].append(event.student)
            if event.confidence is not None and (event.counts or (event.phase == "audit" and not event.spot_check)):
                seen = ObservedVerdict(event.at, event.confidence, event.agreed, event.phase == "audit")
                self.verdicts[event.student].append(seen)
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
        """Nothing to decide."""

    async def stop(self) -> None:
        """Nothing to close."""
