"""Subscribe to all four topics, as a user's own subscriber would, and keep what the report needs."""

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
    """A verdict, with the fields that agreement over time needs."""

    at: datetime
    confidence: float
    agreed: bool
    audit: bool


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
        self.invocations: dict[str, Invocation] = {}
        self.audit_costs: dict[str, Decimal] = {}
        self.shadow_students: defaultdict[str, list[str]] = defaultdict(list)
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
                self.audit_costs[event.audits] = usd(self.audit_costs.get(event.audits, Decimal(0)) + event.cost_usd)
            else:
                self.invocations[event.id] = event
        elif isinstance(event, Verdict):
            if event.phase != "self_agreement":
                self.student_judges[event.student] = event.judge
            if event.phase in ("validation", "shadow"):
                self.shadow_students[event.invocation].append(event.student)
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
