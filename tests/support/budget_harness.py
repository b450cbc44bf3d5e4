"""A budget service on a bus that stands still, and short ways to tell it what happened."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.sample_events import make_invocation

from understudies.budget.app import BudgetApp, create_app
from understudies.budget.settings import BudgetSettings
from understudies.events import Drift, Event, GateDecision, Invocation, Promotion, Route, SeededIds, Verdict, usd
from understudies.runtime.rules.rules import Rules

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TASK = "triage"
LABELS = ("refund", "card arrival", "change pin")
SETTINGS = BudgetSettings(
    min_examples=60,
    examples_per_class=0,
    growth=2.0,
    growth_after_rejection=2.0,
    rest_hours=0,
    student_cost_usd=Decimal("0.0002"),
    training_cost_usd=Decimal("0.50"),
    shadow_verdicts=200,
    fresh_verdicts=100,
    expected_share=0.5,
    expected_gain=0.10,
    canary=(0.05, 0.25, 1.0),
    step_hours=24,
    step_verdicts=(10,),
    successor_weeks=4,
    trial_calls_per_day=5000,
    audits_per_day=5,
    min_audit_rate=0.02,
)
_ids = SeededIds("tests.support.books")


def at_hour(number: float) -> datetime:
    """So many hours after Monday, midnight."""
    return MONDAY + timedelta(hours=number)


def student_name(version: int = 1) -> str:
    return f"{TASK}@{version}"


def teacher_call(
    number: int = 0, hour: float = 0, *, cost: str = "0.01", reason: Any = None, student_cost: str = "0", **changes: Any
) -> Invocation:
    """A call that the teacher answered for a cent, each number another input; the answer is one of three labels."""
    known: dict[str, Any] = {
        "id": _ids(at_hour(hour)),
        "answer": LABELS[number % 3],
        "task": TASK,
        "at": at_hour(hour),
        "cost_usd": usd(cost),
        "route": Route(reason=reason, student_cost_usd=usd(student_cost)) if reason else None,
    }
    return make_invocation(f"request {number}", **{**known, **changes})


def teacher_calls(n: int, hour: float = 0, *, first: int = 0, **changes: Any) -> list[Invocation]:
    """`n` calls with inputs of their own, within the hour."""
    return [teacher_call(first + number, hour + number / n, **changes) for number in range(n)]


def audit_verdict(agreed: bool = True, *, version: int = 1, hour: float = 0, **changes: Any) -> Verdict:
    """An audited call of a student in force."""
    return _verdict("audit", student_name(version), agreed, hour, **{"counts": False, **changes})


def shadow_verdict(*, version: int = 1, hour: float = 0, **changes: Any) -> Verdict:
    """A call that a student on trial was asked as well."""
    return _verdict(changes.pop("phase", "shadow"), student_name(version), True, hour, **changes)


def self_agreement_verdict(agreed: bool, number: int, hour: float = 0) -> Verdict:
    """The teacher, asked again about an input."""
    fingerprint = f"{number:015x}".ljust(64, "0")
    return _verdict("self_agreement", "teacher", agreed, hour, counts=False, fingerprint=fingerprint)


def _verdict(phase: Any, student: str, agreed: bool, hour: float, **changes: Any) -> Verdict:
    known: dict[str, Any] = {
        "id": _ids(at_hour(hour)),
        "at": at_hour(hour),
        "task": TASK,
        "invocation": "call",
        "student": student,
        "phase": phase,
        "agreed": agreed,
        "score": float(agreed),
        "judge": "label",
        "fingerprint": "f" * 64,
    }
    return Verdict(**{**known, **changes})


def gate_decision(
    outcome: Any = "promote", *, version: int = 1, hour: float = 0, threshold: float = 0.8, coverage: float = 0.6,
    promising: float = 0.0, reason: str = "because of the numbers",
) -> GateDecision:  # fmt: skip
    """The gates' word on a student; `promising` is a share that agrees well enough without being proven."""
    curve: list[Any] = [
        {"threshold": 0.9, "coverage": 0.1, "agreement": 0.99, "n": 100},
        {"threshold": 0.5, "coverage": promising or 1.0, "agreement": 0.97 if promising else 0.9, "n": 100},
    ]
    promoted = outcome == "promote"
    return GateDecision(
        id=_ids(at_hour(hour)),
        at=at_hour(hour),
        task=TASK,
        student=student_name(version),
        decision=outcome,
        threshold=threshold if promoted else None,
        coverage=coverage if promoted else None,
        reason=reason,
        evidence={
            "p0": 0.95,
            "curve": curve,
            "chosen": {"threshold": threshold, "coverage": coverage} if promoted else None,
        },
    )


def drift_event(version: int = 1, hour: float = 0, *, tier: Any = "contract", **changes: Any) -> Drift:
    known = {"confidence": 0.999, "statistic": 2000.0, "audited": 40, "agreement_before": 0.98, "agreement_after": 0.7}
    at = at_hour(hour)
    return Drift(id=_ids(at), at=at, task=TASK, student=student_name(version), tier=tier, **{**known, **changes})


def change_event(version: int = 1, hour: float = 0, *, cause: Any = "traffic") -> Drift:
    """Something changed that proves nothing against the student."""
    return drift_event(version, hour, tier="warn", drifted=False, cause=cause)


def held_decision(cause: str = "traffic", *, hour: float, **decided: Any) -> GateDecision:
    """The gates' word on a student that is not proven anew yet."""
    told = gate_decision(hour=hour, **decided)
    return told.model_copy(update={"evidence": {**told.evidence, "held": {"cause": cause}}})


def promotion_stage(stage: Any, version: int = 1, hour: float = 0, **changes: Any) -> Promotion:
    """A stage of a student's story."""
    at = at_hour(hour)
    return Promotion(id=_ids(at), at=at, task=TASK, student=student_name(version), stage=stage, **changes)


def trained_promotion(
    version: int = 1,
    hour: float = 0,
    *,
    coverage: float | None = None,
    cost: str = "0.01",
    price: str | None = None,
) -> Promotion:
    """What the trainer says of a student; `price` is what its answers cost in validation."""
    evidence: dict[str, Any] = {"cost_usd": cost}
    if coverage is not None:
        evidence["validation"] = {"expected_coverage": coverage}
    if price is not None:
        evidence["validation"] = {**evidence.get("validation", {}), "cost_per_call_usd": price}
    return promotion_stage(
        "trained", version, hour, artifact=f"artifact-{version}", dataset="dataset", evidence=evidence
    )


class BudgetHarness:
    """The budget service with what it publishes."""

    def __init__(self, rules: Rules | None = None, settings: BudgetSettings = SETTINGS) -> None:
        self.recorder = CapturingBus()
        self.rules = rules or Rules()
        self.settings = settings
        self.app = self._create()

    def _create(self) -> BudgetApp:
        return create_app(self.settings, bus=self.recorder.bus, rules=self.rules, new_id=SeededIds(1))

    async def restart(self, state: dict[str, Any]) -> None:
        """Begin anew from a snapshot."""
        self.app = self._create()
        await self.app.restore(state)

    async def handle(self, *events: Event) -> None:
        """Give it a batch of events."""
        await self.app.handle(to_records(*events))

    async def tick(self, hour: float) -> list[Promotion]:
        """Let it decide, so many hours after Monday; what it publishes."""
        before = len(self.recorder.published)
        await self.app.tick(at_hour(hour))
        return [event for event in self.recorder.published[before:] if isinstance(event, Promotion)]

    async def tick_stages(self, hour: float) -> list[tuple[str, str]]:
        """The same in short: student and stage."""
        return [(move.student, move.stage) for move in await self.tick(hour)]

    # Where a task stands after some history

    async def authorise_first(self) -> Promotion:
        """The first student, of 100 calls in the first hour."""
        await self.handle(*teacher_calls(100))
        [move] = await self.tick(1)
        return move

    async def start_trial(self, price: str | None = None) -> None:
        """The first student, trained in hour 2, of its own price."""
        await self.authorise_first()
        await self.handle(promotion_stage("collected", hour=1.5), trained_promotion(hour=2, price=price))
        assert await self.tick(2) == []

    async def promote_first(self, share: float = 1.0, *, price: str | None = None, **decided: Any) -> None:
        """The first student, promoted in hour 26 and then given the share, a day for each step."""
        await self.start_trial(price)
        await self.handle(gate_decision(hour=26, **decided))
        assert await self.tick_stages(26) == [(student_name(), "qualified"), (student_name(), "promoted")]
        hour = 26.0
        while (student := self.app.task_state(TASK).serving) and student.promotion.share < share:
            hour += 24
            await self.handle(*(audit_verdict(hour=hour - 1) for _ in range(10)))
            assert await self.tick_stages(hour) == [(student_name(), "promoted")]

    async def start_successor_trial(self) -> float:
        """A successor, trained while the first student serves everything; the hour at which it is on trial."""
        await self.promote_first()
        await self.handle(*teacher_calls(100, 100, first=100), *(teacher_call(0, 101) for _ in range(2000)))
        assert await self.tick_stages(102) == [(student_name(2), "authorised")]
        await self.handle(promotion_stage("collected", 2, 102), trained_promotion(2, 103))
        return 103
