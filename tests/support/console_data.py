"""A store with ten days of three tasks, and the console on it: a student that drifted, its successor on trial."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.stores import open_migrated_store

from understudies.budget.app import BudgetApp
from understudies.budget.app import create_app as create_budget
from understudies.budget.settings import BudgetSettings
from understudies.console.source import ConsoleSource
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.evaluation import Evaluation
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import (
    Drift,
    Event,
    GateDecision,
    Invocation,
    Message,
    Promotion,
    Request,
    Response,
    Route,
    SeededIds,
    Stage,
    Usage,
    Verdict,
    encode,
    fingerprint,
    usd,
)
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.clock import VirtualClock
from understudies.runtime.health import ServiceHealth
from understudies.runtime.rules.api_keys import key_hash
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.runtime.rules.tenant import TenantRules
from understudies.runtime.settings import BusSettings
from understudies.runtime.store import Store
from understudies.status.reader import StatusReader
from understudies.students.artifact import Manifest, write_artifact
from understudies.students.student_cache import StudentCache

START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = START + timedelta(days=10, hours=6)
TASK, OWN, CRITICAL = "ticket-triage", "acme:mail <sort>", "refunds"
LABELS = ("billing", "shipping", "returns", "account & more")
ACME_KEY = "sk-understudies-0a1B2c3D4e5F6g7H8i9J-acme"
RULES = Rules(
    tasks={CRITICAL: TaskRules(critical=True)},
    tenants={"acme": TenantRules(keys=(key_hash(ACME_KEY),), own_tasks=("mail*",))},
)
DRIFT_AT = START + timedelta(days=8, hours=15)
CALLS_A_DAY = 48
_PRICE = usd("0.0123")
_TABLES: dict[type[Event], str] = {
    Invocation: "invocations",
    Verdict: "verdicts",
    GateDecision: "gate_decisions",
    Promotion: "promotions",
    Drift: "drift",
}


@dataclass(frozen=True)
class ConsoleData:
    """The console's source, and all events that it was filled with."""

    source: ConsoleSource
    reader: StatusReader
    budget: BudgetApp
    events: Sequence[Event]

    def of_verdicts(self) -> list[Verdict]:
        """The verdicts."""
        return [event for event in self.events if isinstance(event, Verdict)]

    def of_calls(self) -> list[Invocation]:
        """The calls, audits included."""
        return [event for event in self.events if isinstance(event, Invocation)]


@asynccontextmanager
async def open_console_data(folder: Path) -> AsyncIterator[ConsoleData]:
    """Yield the console's source on a throw-away store."""
    files = ObjectStore(f"file://{folder / 'artifacts'}")
    events = make_events(_write_artifact(files))
    async with open_migrated_store() as store:
        await insert_events(store, events)
        budget = _create_budget(events)
        reader = _create_reader(store, files, budget)

        async def fetch_health() -> list[ServiceHealth]:
            return [ServiceHealth("observer", 0), ServiceHealth("router", None, "triage@1 cannot be loaded: <gone>")]

        source = ConsoleSource(
            reader,
            store,
            VirtualClock(NOW),
            lambda: RULES,
            files=files,
            services=fetch_health,
            settings=(("Budget", BudgetSettings(min_examples=321)), ("Evaluator", EvaluatorSettings())),
        )
        yield ConsoleData(source, reader, budget, events)


async def insert_events(store: Store, events: Sequence[Event]) -> None:
    """Insert events into their tables."""
    for kind, table in _TABLES.items():
        await store.insert(table, [encode(event) for event in events if isinstance(event, kind)])


def _create_budget(events: Sequence[Event]) -> BudgetApp:
    bus = KafkaBus(BusSettings(bootstrap="nowhere:0"), "budget")
    budget = create_budget(BudgetSettings(), bus=bus, rules=RULES, new_id=SeededIds(2))
    for event in events:
        budget.task_state(event.task).fold(event)
    return budget


def _create_reader(store: Store, files: ObjectStore, budget: BudgetApp) -> StatusReader:
    return StatusReader(
        store=store,
        budget=budget,
        evaluation=Evaluation(EvaluatorSettings(), StudentCache(files), RULES, SeededIds(3)),
        rules=RULES,
        settings=BudgetSettings(),
        not_loaded=dict,
        source="a test",
        files=files,
    )


def _write_artifact(files: ObjectStore) -> str:
    manifest = Manifest(
        kind="classifier",
        task=TASK,
        student=f"{TASK}@1",
        created=START + timedelta(days=2),
        dataset_digest="d" * 64,
        splits={"train": 120, "validation": 20, "evidence": 20},
        teachers=("gpt-4o",),
        metrics={"expected_coverage": 0.84, "labels": list(LABELS)},
    )
    return write_artifact(files, {"weights.bin": b"0" * 64}, manifest)


def make_events(artifact: str) -> list[Event]:
    """Ten days of calls, verdicts and decisions, in order of time."""
    rng, new_id = random.Random(7), SeededIds(1)
    events: list[Event] = [*_make_stages(artifact, new_id)]
    for hour in range(10 * 24):
        for _ in range(CALLS_A_DAY // 24):
            at = START + timedelta(hours=hour, seconds=rng.randrange(3600))
            events += _make_call(rng, new_id, at)
        at = START + timedelta(hours=hour, minutes=30)
        if hour % 4 == 0:
            events.append(_invocation(new_id(at), at, OWN, "acme", f"Sort mail {hour}", "inbox"))
            events.append(_invocation(new_id(at), at, CRITICAL, "default", f"Refund {hour}?", "yes"))
    return sorted(events, key=lambda event: event.at)


def _make_call(rng: random.Random, new_id: SeededIds, at: datetime) -> list[Event]:
    """A call of the triage, and what comes of it: a shadow verdict on trial, an audit while a student serves."""
    label = rng.choice(LABELS)
    number = rng.randrange(10_000)
    asked = f"Where is my order {number}? <b>{label}</b>"
    tenant = "acme" if rng.random() < 0.25 else "default"
    age = (at - START) / timedelta(days=1)
    serves = age >= 4 and at < DRIFT_AT
    rate = 0.7 if at > DRIFT_AT - timedelta(hours=15) else 0.97
    agreed = rng.random() < rate
    said = label if agreed else rng.choice([one for one in LABELS if one != label])
    if not serves:
        call = _invocation(new_id(at), at, TASK, tenant, asked, label)
        student = f"{TASK}@1" if 3 <= age < 4 else f"{TASK}@2" if age >= 9 else None
        return [call] if student is None else [call, _verdict(call, student, "shadow", at, label, said, counts=True)]
    route = Route(reason="promoted", threshold=0.7, share=0.5, audit_probability=0.4)
    student = f"{TASK}@1"
    call = _invocation(new_id(at), at, TASK, tenant, asked, said, student=student, route=route)
    if rng.random() > 0.4:
        return [call]
    later = at + timedelta(seconds=20)
    audit = _invocation(new_id(later), later, TASK, tenant, asked, label, audits=call.id)
    return [call, audit, _verdict(call, student, "audit", later, label, said, counts=False)]


def _invocation(
    name: str,
    at: datetime,
    task: str,
    tenant: str,
    asked: str,
    answer: str,
    *,
    student: str | None = None,
    route: Route | None = None,
    audits: str | None = None,
) -> Invocation:
    system = Message(role="system", content="Sort the customer's ticket.")
    request = Request(messages=(system, Message(role="user", content=asked)))
    return Invocation(
        id=name,
        at=at,
        task=task,
        tenant=tenant,
        origin="live" if audits is None else "audit",
        audits=audits,
        served_by="teacher" if student is None else "student",
        model="gpt-4o" if student is None else student,
        student=student,
        request=request,
        response=Response(message=Message(role="assistant", content=answer)),
        usage=Usage(prompt_tokens=900, completion_tokens=5),
        cost_usd=_PRICE if student is None else usd("0.0002"),
        latency_ms=500,
        confidence=None if student is None else 0.9,
        route=route or Route(reason="no_student" if audits is None else "audit"),
        fingerprint=fingerprint(request),
    )


def _verdict(
    call: Invocation, student: str, phase: Any, at: datetime, label: str, said: str, *, counts: bool
) -> Verdict:
    agreed = label == said
    return Verdict(
        id=f"v-{call.id}"[:64],
        at=at,
        task=call.task,
        invocation=call.id,
        student=student,
        phase=phase,
        agreed=agreed,
        score=float(agreed),
        judge="label",
        why=None if agreed else f"teacher {label!r}, student {said!r}",
        confidence=0.9,
        fingerprint=call.fingerprint,
        answer_class=label,
        student_answer=None if agreed else said,
        student_class=None if agreed else said,
        counts=counts,
    )


def _make_stages(artifact: str, new_id: SeededIds) -> list[Event]:
    def stage(name: Stage, days: float, version: int = 1, **rest: Any) -> Promotion:
        at = START + timedelta(days=days)
        return Promotion(id=new_id(at), at=at, task=TASK, student=f"{TASK}@{version}", stage=name, **rest)

    trained: dict[str, Any] = {"dataset": "datasets/" + "d" * 64 + ".jsonl", "artifact": artifact}
    cost: dict[str, Any] = {"cost_usd": "0.31", "validation": {"expected_coverage": 0.84}}
    return [
        stage("authorised", 2, reason="it pays back after <130> calls", evidence={"examples": 160}),
        stage("collected", 2.1, dataset=trained["dataset"]),
        stage("trained", 2.2, **trained, evidence=cost),
        _gate_decision(new_id, "inconclusive", 3, passed=False),
        _gate_decision(new_id, "promote", 3.9, passed=True),
        stage("qualified", 3.9, **trained, threshold=0.7),
        stage("promoted", 4, **trained, threshold=0.7, share=0.5, evidence={"coverage": 0.8}, reason="canary"),
        Drift(
            id=new_id(DRIFT_AT),
            at=DRIFT_AT,
            task=TASK,
            student=f"{TASK}@1",
            tier="contract",
            confidence=0.999,
            statistic=1200.0,
            audited=64,
            agreement_before=0.97,
            agreement_after=0.71,
        ),
        stage("demoted", (DRIFT_AT - START) / timedelta(days=1) + 0.01, **trained, reason="drift"),
        stage("authorised", 8.9, 2, evidence={"examples": 200}),
        stage("trained", 9, 2, **trained),
    ]


def _gate_decision(new_id: SeededIds, decision: Any, days: float, *, passed: bool) -> GateDecision:
    at = START + timedelta(days=days)
    curve: list[Any] = [
        {
            "threshold": round(1 - share * 0.375, 4),
            "coverage": share,
            "n": int(90 * share),
            "calls": int(90 * share),
            "agreement": 0.995 - 0.03 * share,
            "e_value": 12.0 + 20 * passed,
            "needed": 22.2,
            "forward_n": int(70 * share),
            "forward_calls": int(70 * share),
            "forward_agreement": 0.99 - 0.03 * share,
            "forward_e_value": 4.0 + 20 * passed,
            "passed": passed,
            "failing_classes": [],
        }
        for share in (0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    return GateDecision(
        id=new_id(at),
        at=at,
        task=TASK,
        student=f"{TASK}@1",
        decision=decision,
        threshold=0.7 if passed else None,
        coverage=0.8 if passed else None,
        reason="agrees at least 95% on the surest 80% of calls" if passed else "nothing proven after 60 verdicts",
        evidence={"curve": curve, "p0": 0.95},
    )
