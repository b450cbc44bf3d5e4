"""The report, put together from what was played and what the budget knows."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.support.backtest_outcomes import (
    TASK,
    audit_invocation,
    hourly_calls,
    hours_after_monday,
    make_outcomes,
    make_promotion,
    make_verdict,
    student_invocation,
    teacher_invocation,
)

from understudies.backtest.replay.schedule import ScheduledCall
from understudies.backtest.report.builder import build_report
from understudies.backtest.report.report import BacktestReport, LogSummary
from understudies.budget.appraisal import Appraisal
from understudies.budget.task_state import TaskState
from understudies.economics.outcome import BudgetOutcome
from understudies.events import Drift, Event, GateDecision
from understudies.importers.recorded_call import ParsedLog
from understudies.stats.bounds import anytime_lower_bound

NAME = f"{TASK}@1"
CURVE: list[Any] = [
    {"threshold": 0.9, "coverage": 0.2, "n": 0, "agreement": None, "failing_classes": []},
    {"threshold": 0.8, "coverage": 0.5, "n": 100, "agreement": 0.99, "failing_classes": []},
    {"threshold": 0.1, "coverage": 1.0, "n": 200, "agreement": 0.96, "failing_classes": ["cancel"]},
]


def gate(decision: Any = "promote", hour: float = 2, task: str = TASK) -> GateDecision:
    promoted = decision == "promote"
    return GateDecision(
        id=f"gate-{task}-{decision}",
        at=hours_after_monday(hour),
        task=task,
        student=f"{task}@1",
        decision=decision,
        threshold=0.8 if promoted else None,
        coverage=0.5 if promoted else None,
        reason="because of the numbers",
        evidence={"p0": 0.95, "curve": CURVE, "verdicts": 200},
    )


def drift(hour: float = 5) -> Drift:
    known: dict[str, Any] = {"confidence": 0.999, "statistic": 2000.0, "audited": 40, "agreement_after": 0.7}
    return Drift(id="drift", at=hours_after_monday(hour), task=TASK, student=NAME, tier="contract", **known)


def facts(book: TaskState, *, outcome: str = "no_change", message: str = "", **changes: Any) -> dict[str, Any]:
    known = {
        "outcome": BudgetOutcome(outcome=outcome, task=book.task, message=message, numbers={"examples": 5}),  # type: ignore[arg-type]  # any of them
        "appraisal": Appraisal("wait", "5 of the 400 examples needed", 400),
        "task_state": book,
        "evidence": {},
        "critical": False,
        "promised": 0.95,
    }
    return {**known, **changes}


def booked(events: Sequence[Event], task: str = TASK) -> TaskState:
    book = TaskState(task, Decimal("0.0002"))
    for event in events:
        if event.task == task:
            book.fold(event)
    return book


async def report(calls: Sequence[ScheduledCall], events: Sequence[Event], **details: Any) -> BacktestReport:
    """The report of one task."""
    known = facts(booked(events), **details)
    return await of_tasks(calls, events, {TASK: known})


async def of_tasks(calls: Sequence[ScheduledCall], events: Sequence[Event], details: dict[str, Any]) -> BacktestReport:
    source = LogSummary.of("calls.jsonl", ParsedLog("native"), 1.0)
    found = await make_outcomes(calls, *events)
    return build_report(found, details, source=source, seed=7, seconds=1.5, version="1.2.3")


def promoted_events(calls: Sequence[ScheduledCall]) -> list[Event]:
    return [
        *(teacher_invocation(call) for call in calls[:4]),
        make_promotion("authorised", 1, reason="it pays", evidence={"roi": 3.5, "examples": 4, "needed": 4}),
        make_promotion("trained", 1, evidence={"cost_usd": "0.01", "seconds": 3.2, "kind": "classifier"}),
        gate(),
        make_promotion("promoted", 3, share=0.05, threshold=0.8, audit_rate=0.5, evidence={"coverage": 0.5}),
        *(student_invocation(call) for call in calls[4:]),
        audit_invocation(calls[-1]),
        make_verdict(calls[0], phase="validation"),
    ]


async def test_the_story_is_told_in_order_of_time_with_evidence_and_without_seconds() -> None:
    calls = hourly_calls(8)
    events = [*promoted_events(calls), drift(), make_promotion("demoted", 6, reason="drift")]
    told = (await report(calls, events)).decisions
    assert [decision.event for decision in told] == [
        "authorised",
        "trained",
        "gate_promote",
        "promoted",
        "drift_contract",
        "demoted",
    ]
    assert told[0].evidence["roi"] == 3.5
    assert told[1].evidence == {"cost_usd": "0.01", "kind": "classifier"}
    assert (told[2].evidence["threshold"], told[2].evidence["coverage"]) == (0.8, 0.5)
    assert {key: told[3].evidence[key] for key in ("share", "threshold", "audit_rate")} == {
        "share": 0.05,
        "threshold": 0.8,
        "audit_rate": 0.5,
    }
    assert told[4].reason == "contract alarm after 40 audited verdicts"
    assert told[4].evidence["agreement_after"] == 0.7


async def test_tasks_heard_of_in_any_order_are_told_in_one() -> None:
    calls = sorted(hourly_calls(3) + hourly_calls(3, task="other"), key=lambda call: call.at)
    served: list[Event] = [teacher_invocation(call) for call in calls]
    gates: list[Event] = [gate("reject"), gate("reject", task="other"), gate("inconclusive", 1)]
    details = {task: facts(booked(served, task)) for task in (TASK, "other")}
    one, other = [await of_tasks(calls, served + heard, details) for heard in (gates, gates[::-1])]
    assert one.decisions == other.decisions
    assert [(d.task, d.event) for d in one.decisions] == [
        (TASK, "inconclusive"),
        ("other", "gate_reject"),
        (TASK, "gate_reject"),
    ]


async def test_a_task_that_is_not_worth_it_is_among_the_decisions_with_its_numbers() -> None:
    calls = hourly_calls(3)
    appraisal = Appraisal("refuse", "it takes 90 calls, 10 are expected", 400)
    told = await report(calls, [teacher_invocation(call) for call in calls], appraisal=appraisal)
    outcome = told.tasks[TASK].outcome
    assert (outcome.outcome, outcome.message) == ("not_worth_it", "not worth it: it takes 90 calls, 10 are expected")
    (decision,) = told.decisions
    assert (decision.at, decision.event, decision.student) == (calls[-1].at, "not_worth_it", None)
    assert decision.reason == outcome.message
    assert told.tasks[TASK].roi_authorised is None


async def test_a_student_on_trial_is_said_to_be_unproven_with_the_numbers() -> None:
    calls = hourly_calls(3)
    events = [
        *(teacher_invocation(call) for call in calls),
        make_promotion("authorised", 1),
        make_promotion("trained", 1),
    ]
    evidence = {"p0": 0.95, "verdicts": 230, "curve": CURVE, "chosen": None}
    told = await report(calls, events, outcome="training", message="training", evidence=evidence)
    assert told.tasks[TASK].outcome.outcome == "training"
    assert told.tasks[TASK].outcome.message == (
        f"{NAME} is on trial, not proven after 230 verdicts: 96.0% of 200 agree, 95% must be proven; "
        "too often wrong where the teacher says 'cancel'"
    )


async def test_a_student_on_trial_with_conversations_is_said_to_be_judged_on_their_calls() -> None:
    calls = hourly_calls(3)
    events = [
        *(teacher_invocation(call) for call in calls),
        make_promotion("authorised", 1),
        make_promotion("trained", 1),
    ]
    curve = [{**point, "calls": 3 * point["n"]} for point in CURVE]
    evidence = {"p0": 0.95, "verdicts": 230, "calls": 690, "curve": curve, "chosen": None}
    told = await report(calls, events, outcome="training", message="training", evidence=evidence)
    assert told.tasks[TASK].outcome.message.startswith(
        f"{NAME} is on trial, not proven after 690 verdicts in 230 conversations: 96.0% of 600 agree, "
    )


async def test_before_any_verdict_the_budgets_own_words_are_kept() -> None:
    calls = hourly_calls(3)
    events = [*(teacher_invocation(call) for call in calls), make_promotion("authorised", 1)]
    told = await report(calls, events, outcome="training", message="training: the student is authorised")
    assert told.tasks[TASK].outcome.message == "training: the student is authorised"


async def test_a_student_that_was_given_up_says_what_ended_it() -> None:
    calls = hourly_calls(3)
    events = [
        *(teacher_invocation(call) for call in calls),
        make_promotion("rejected", 1, reason="agrees on 21% of 62"),
    ]
    told = await report(calls, events, outcome="fallback_teacher", message="the teacher serves")
    assert told.tasks[TASK].outcome.message == "the teacher serves: agrees on 21% of 62"


async def test_what_is_realised_is_the_ledgers_and_the_figures_agree() -> None:
    calls = hourly_calls(20)
    reported = (await report(calls, promoted_events(calls))).tasks[TASK]
    totals, realised = reported.summary.totals, reported.roi_realised
    assert realised is not None
    assert Decimal(str(realised["spent_usd"])) == totals.cost_after
    assert Decimal(str(realised["saved_usd"])) == totals.saved
    assert Decimal(str(realised["invested_usd"])) == Decimal("0.01") + Decimal("0.03") + Decimal("0.0002")
    assert (realised["served"], realised["audits"], realised["escalated"]) == (16, 1, 0)
    assert realised["roi"] == round(float(totals.saved / Decimal("0.0402")), 4)
    assert reported.roi_authorised is not None
    assert reported.roi_authorised["roi"] == 3.5
    assert reported.chosen is not None
    assert (reported.chosen.threshold, reported.chosen.coverage) == (0.8, 0.5)


async def test_the_curve_leaves_out_where_nothing_is_known_and_has_its_bounds() -> None:
    calls = hourly_calls(8)
    reported = (await report(calls, promoted_events(calls))).tasks[TASK]
    assert [(point.coverage, point.n, point.lower) for point in reported.risk_coverage] == [
        (0.5, 100, anytime_lower_bound(99, 100)),
        (1.0, 200, anytime_lower_bound(192, 200)),
    ]


async def test_tasks_are_in_the_order_of_what_they_cost() -> None:
    calls = sorted(hourly_calls(2) + hourly_calls(5, task="dear"), key=lambda call: call.at)
    served = [teacher_invocation(call) for call in calls]
    told = await of_tasks(calls, served, {task: facts(booked(served, task)) for task in (TASK, "dear")})
    assert list(told.tasks) == ["dear", TASK]
    assert told.overall.totals.calls == 7
    assert (told.seed, told.seconds, told.version) == (7, 1.5, "1.2.3")
    assert told.to_dict()["decisions"] == []


async def test_a_task_says_of_what_kind_it_is_and_whether_it_is_critical() -> None:
    calls = hourly_calls(60)
    told = await report(calls, [teacher_invocation(call) for call in calls], critical=True)
    profile = told.tasks[TASK].profile
    assert (profile["kind"], profile["critical"]) == ("closed_set", True)
    judge = told.tasks[TASK].judge
    assert judge is not None
    assert (judge.name, judge.description.partition(";")[0]) == ("label", "the whole answer is one label")
    assert calls[-1].at - calls[0].at == timedelta(hours=59)
