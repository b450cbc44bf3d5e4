"""Standings of tasks to render."""

from datetime import UTC, datetime

from understudies.events import usd
from understudies.status.standing import (
    CallCounts,
    LastDecision,
    MeasuredAgreement,
    TaskStanding,
    TeacherPrice,
    TrialProgress,
)

AT = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
KEPT = TaskStanding(
    task="a-task-with-a-name-that-is-longer-than-its-column-is-wide",
    phase="kept with the teacher",
    waits_for="a change: the student costs more",
    examples=12_345,
    needed=40_000,
    teacher_price=TeacherPrice(usd=usd("0.03"), source="assumed, as no price of our-own is known"),
    roi=-1.0,
    promised=0.95,
)
SERVING = TaskStanding(
    task="triage",
    phase="serving",
    waits_for="the next share, 50%: 3 of the 10 audits needed",
    examples=1_200,
    needed=2_400,
    teacher_price=TeacherPrice(usd=usd("0.0123"), source="set or recorded"),
    roi=12.34,
    break_even_calls=1_234,
    weekly_calls=7_000,
    student="triage@1",
    stage="promoted",
    not_loaded="cannot read 'x'",
    judge="llm[tone]",
    judge_failure="the endpoint 'checker' refuses the key",
    agreement=MeasuredAgreement(agreed=97, compared=100, lower=0.91, basis="audits of what it served"),
    promised=0.95,
    share=0.25,
    coverage=0.614,
    today=CallCounts(calls=12_345, served=2_345),
    to_date=CallCounts(calls=100_000, served=25_000),
    spent_usd=usd("900"),
    saved_usd=usd("123.456"),
    last_decision=LastDecision(at=AT, what="promoted", student="triage@1", reason="canary: agrees [at least] 95%"),
)
TRIAL = TaskStanding(
    task="acme:extract <slots> & more",
    phase="trial",
    waits_for="the look at the gates",
    student="acme:extract <slots> & more@2",
    stage="trained",
    promised=0.9,
    trial=TrialProgress(
        input_evidence=3.5, call_evidence=1, evidence_needed=22.22, verdicts=40, calls=90, whole_days=1
    ),
)
