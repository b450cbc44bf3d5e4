"""Build the report of a backtest."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.report.alternatives import describe_alternatives
from understudies.backtest.report.daily import describe_days
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.backtest.report.projection import last_fifth_span, project_savings
from understudies.backtest.report.promise import AgreementPromise
from understudies.backtest.report.recommendation import recommend
from understudies.backtest.report.report import (
    BacktestReport,
    ChosenThreshold,
    DecisionEntry,
    DecisionEvent,
    JudgeSummary,
    LogSummary,
    TaskOutcome,
    TaskReport,
)
from understudies.backtest.report.risk_coverage import coverage_curve
from understudies.backtest.report.shortfall import explain_shortfall
from understudies.backtest.report.tally import TaskTally, tally_calls
from understudies.budget.appraisal import Appraisal
from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.economics.outcome import BudgetOutcome
from understudies.evaluator.gate_decisions import describe_teacher_noise
from understudies.events import Cause, Drift, GateDecision, Promotion, usd_text

_GATE_EVENTS: dict[str, DecisionEvent] = {
    "promote": "gate_promote",
    "reject": "gate_reject",
    "inconclusive": "inconclusive",
}
_DRIFT_EVENTS: dict[str, DecisionEvent] = {"warn": "drift_warn", "contract": "drift_contract"}


def build_report(
    outcomes: CallOutcomes,
    details: Mapping[str, Any],
    *,
    source: LogSummary,
    seed: int,
    seconds: float,
    version: str,
) -> BacktestReport:
    """Build the report of the played calls, with the tasks in descending order of cost."""
    tally = tally_calls(outcomes)
    tasks = {task: _build_task_report(outcomes, task, tally.tasks[task], facts) for task, facts in details.items()}
    by_cost = sorted(tasks, key=lambda task: -tasks[task].summary.totals.cost_before)
    decisions = [_report_decision(event) for event in outcomes.collector.lifecycle_events]
    last = outcomes.calls[-1].at
    refused = [
        DecisionEntry(
            last, name, "not_worth_it", None, task.outcome.message, details[name]["appraisal"].investment_numbers
        )
        for name, task in tasks.items()
        if task.outcome.outcome == "not_worth_it"
    ]
    overall = tally.overall
    projection = project_savings(overall.last_fifth.saved, last_fifth_span(outcomes.times))
    return BacktestReport(
        overall=overall,
        tasks={task: tasks[task] for task in by_cost},
        # Tasks are in different partitions, which are read in any order; the events of each task are ordered.
        decisions=sorted([*decisions, *refused], key=lambda decision: (decision.at, decision.task)),
        input=source,
        seed=seed,
        seconds=seconds,
        version=version,
        projection=projection,
        recommendation=recommend(
            {task: tasks[task] for task in by_cost}, projection, prices_assumed=bool(source.unpriced)
        ),
    )


def _report_decision(event: Promotion | GateDecision | Drift) -> DecisionEntry:
    if isinstance(event, GateDecision):
        evidence: dict[str, object] = {**event.evidence, "threshold": event.threshold, "coverage": event.coverage}
        return DecisionEntry(event.at, event.task, _GATE_EVENTS[event.decision], event.student, event.reason, evidence)
    if isinstance(event, Drift):
        facts = event.model_dump(mode="json", include=_DRIFT_FIELDS)
        reason = f"{event.tier} alarm after {event.audited} audited verdicts"
        if not event.drifted:
            reason = _CHANGE_MESSAGES[event.cause].format(event.statistic)
        return DecisionEntry(event.at, event.task, _DRIFT_EVENTS[event.tier], event.student, reason, facts)
    # Drop measured seconds, which differ from run to run, so that the same file and seed give the same report.
    details: dict[str, object] = {key: value for key, value in event.evidence.items() if key != "seconds"}
    if event.stage == "promoted":
        details |= {"share": event.share, "threshold": event.threshold, "audit_rate": event.audit_rate}
    return DecisionEntry(event.at, event.task, event.stage, event.student, event.reason, details)


_CHANGE_MESSAGES: Mapping[Cause, str] = {
    "agreement": "audited verdicts disagree more often",
    "traffic": "traffic shifted: the student is confident on {:.0%} of today's calls; it must be proven again",
    "teacher": "another model answers as the teacher: the student must be proven again",
    "calendar": "first calls of a kind of day on which the student was not judged: it is checked first",
}
_DRIFT_FIELDS = {"statistic", "confidence", "audited", "agreement_before", "agreement_after"}


def _build_task_report(outcomes: CallOutcomes, task: str, tally: TaskTally, facts: Mapping[str, Any]) -> TaskReport:
    task_state: TaskState = facts["task_state"]
    promotions = [event for event in outcomes.promotions() if event.task == task]
    student = task_state.serving or task_state.latest_student
    return TaskReport(
        summary=tally.summary,
        outcome=_task_outcome(facts, student),
        profile={
            "kind": task_state.profile.kind,
            "verdict": task_state.profile.recommendation,
            "reason": task_state.profile.reason,
            "critical": facts["critical"],
            **describe_alternatives(outcomes, task),
        },
        judge=JudgeSummary.of(outcomes.judge_for(task, student.name if student else None)),
        series=describe_days(tally.days, promotions, outcomes.collector),
        risk_coverage=coverage_curve(
            facts["evidence"] or (student.decision.evidence if student and student.decision else {})
        ),
        chosen=_chosen_threshold(student),
        roi_authorised={key: student.investment.get(key) for key in _INVESTMENT_KEYS} if student else None,
        roi_realised=_realised_roi(task_state, tally.break_even_calls) if student else None,
        promise=AgreementPromise.of(student, facts["evidence"]) if student else None,
        shortfall=explain_shortfall(
            facts["promised"],
            tally.summary.totals.agreement_served,
            tally.served.elements(),
            promotions,
            task_state.serving.name if task_state.serving else None,
        ),
    )


def _task_outcome(facts: Mapping[str, Any], student: StudentState | None) -> TaskOutcome:
    """Return the outcome with its reason: why a task never got a student, or what ended the one it had."""
    appraisal: Appraisal = facts["appraisal"]
    outcome: BudgetOutcome = facts["outcome"]
    if facts["critical"]:
        return TaskOutcome("critical", "declared critical: the teacher answers every call", outcome.numbers)
    # With a student, the appraisal is of a successor, which was never built.
    numbers = outcome.numbers if student is not None else {**outcome.numbers, **appraisal.investment_numbers}
    if student is None and appraisal.verdict == "refuse":
        return TaskOutcome("not_worth_it", f"not worth it: {appraisal.reason}", numbers)
    if student is not None and outcome.outcome == "fallback_teacher":
        return TaskOutcome("fallback_teacher", f"the teacher serves: {student.promotion.reason}", numbers)
    if student is not None and student.is_on_trial and facts["evidence"].get("verdicts"):
        return TaskOutcome(outcome.outcome, _explain_unproven(student.name, facts["evidence"]), numbers)
    return TaskOutcome(outcome.outcome, outcome.message, numbers)


def _explain_unproven(student: str, evidence: Mapping[str, Any]) -> str:
    """Explain why a student serves nothing after all its verdicts."""
    widest = evidence["curve"][-1]
    failing = sorted({name for point in evidence["curve"] for name in point["failing_classes"]})
    text = f"{student} is on trial, not proven after {_describe_verdicts(evidence)}{_describe_forward_calls(evidence)}"
    if widest["agreement"] is not None:
        n = widest.get("calls", widest["n"])
        text += f": {widest['agreement']:.1%} of {n} agree, {evidence['p0']:.0%} must be proven"
    repeats = evidence.get("repeats") or {}
    text += describe_teacher_noise(repeats.get("answers", 0), repeats.get("alike", 0))
    return f"{text}; too often wrong where the teacher says {', '.join(map(repr, failing))}" if failing else text


def _describe_forward_calls(evidence: Mapping[str, Any]) -> str:
    """Describe the calls and days since its dataset on which a student was judged."""
    forward = evidence.get("forward") or {}
    days = forward.get("days", 0)
    return f" on distinct inputs and {forward.get('calls', 0)} calls in {days} days since" if forward else ""


def _describe_verdicts(evidence: Mapping[str, Any]) -> str:
    """Describe the number of calls judged, and of their conversations if those are fewer."""
    bets = evidence["verdicts"]
    calls = evidence.get("calls", bets)
    return f"{calls} verdicts" if calls == bets else f"{calls} verdicts in {bets} conversations"


def _chosen_threshold(student: StudentState | None) -> ChosenThreshold | None:
    decision = student.decision if student else None
    if decision is None or decision.threshold is None or decision.coverage is None:
        return None
    return ChosenThreshold(decision.threshold, decision.coverage)


_INVESTMENT_KEYS = (
    "roi",
    "break_even_calls",
    "weekly_calls",
    "weekly_calls_lower",
    "expected_share",
    "audit_rate",
    "teacher_cost_usd",
    "student_cost_usd",
    "training_cost_usd",
    "evidence_cost_usd",
    "net_weekly_saving_usd",
)


def _realised_roi(task_state: TaskState, break_even_calls: int | None) -> dict[str, object]:
    ledger = task_state.ledger
    return {
        "break_even_calls": break_even_calls,
        "saved_usd": usd_text(ledger.savings),
        "spent_usd": usd_text(ledger.total_cost),
        "without_usd": usd_text(ledger.cost_without_students),
        "invested_usd": usd_text(ledger.invested),
        "roi": round(float(ledger.savings / ledger.invested), 4) if ledger.invested else None,
        "served": ledger.served,
        "escalated": ledger.escalated,
        "audits": ledger.audits,
    }
