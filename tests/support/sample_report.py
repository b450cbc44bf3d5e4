"""A report of a made-up backtest, with every part filled."""

import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from understudies.backtest.report.figures import FiguresAccumulator, FiguresSummary
from understudies.backtest.report.report import (
    BacktestReport,
    ChosenThreshold,
    CoveragePoint,
    DailyFigures,
    DecisionEntry,
    JudgeSummary,
    LogSummary,
    TaskOutcome,
    TaskReport,
)
from understudies.importers.recorded_call import SkippedLine
from understudies.judges.registry import parse_judge
from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_upper

START = datetime(2026, 1, 5, tzinfo=UTC)
TEACHER, STUDENT = Decimal("0.0167"), Decimal("0.0004")

PricedCall = tuple[Decimal, Decimal, bool, bool | None]
"""A call's cost without and with students, whether a student served it, and whether it agreed."""


def summarise_figures(calls: Sequence[PricedCall]) -> FiguresSummary:
    """The figures of calls in their order."""
    figures = FiguresAccumulator(len(calls))
    for before, after, served, agreed in calls:
        figures.add(before, after, served, agreed)
    return figures.summarise()


def build_sample_report(
    days: int = 14, names: tuple[str, ...] = ("ticket-triage", "language-routing")
) -> BacktestReport:
    """Two tasks that are distilled, the second with drift, and two that stay with the teacher."""
    every: list[PricedCall] = []
    tasks, decisions = {}, []
    for place, name in enumerate(names):
        tasks[name] = distilled_task(name, every, days, drift=place == 1)
        decisions += decision_history(name, drift=place == 1)
    tasks["marketing-copy"] = undistilled_task(
        "marketing-copy", every, days, "not_worth_it", "open answers that never repeat"
    )
    tasks["order-extraction"] = undistilled_task(
        "order-extraction", every, days, "collecting", "collecting: 240 of 500 examples"
    )
    broken = [SkippedLine(17, "not JSON: unexpected end of data at column 80"), SkippedLine(912, "no teacher answer")]
    source = LogSummary("calls/agent.jsonl.gz", "native", len(every), broken, float(days))
    return BacktestReport(summarise_figures(every), tasks, decisions, source, seed=7, seconds=48.2, version="0.1.0")


def distilled_task(name: str, every: list[PricedCall], days: int, *, drift: bool) -> TaskReport:
    figures: list[PricedCall] = []
    rng, series = random.Random(name), []
    agree = judged = 0
    for k in range(days):
        share = 0.0 if k < 4 or (drift and k == 10) else min(0.05 + 0.27 * (k - 4), 0.86)
        calls, served, agreed, audited = rng.randint(240, 320), 0, 0, 0
        before = after = Decimal(0)
        for _ in range(calls):
            by_student = rng.random() < share
            same = rng.random() < (0.7 if drift and k == 10 else 0.985)
            audit = by_student and rng.random() < 0.06
            cost = STUDENT + (TEACHER if audit or not by_student else 0)
            figures.append((TEACHER, cost, by_student, same))
            every.append((TEACHER, cost, by_student, same))
            served, agreed, audited = served + by_student, agreed + (by_student and same), audited + audit
            before, after = before + TEACHER, after + cost
        seen = audited + (120 if k in (3, 4) else 0)
        judged, agree = judged + seen, agree + round(seen * (0.8 if drift and k == 10 else 0.985))
        known = judged > 0
        day = DailyFigures(
            at=START + timedelta(days=k),
            calls=calls,
            served=served,
            agreed_served=agreed,
            audited=audited,
            agreement=agree / judged if known else None,
            lower=anytime_lower_bound(agree, judged) if known else None,
            upper=clopper_pearson_upper(agree, judged) if known else None,
            cost_before=before,
            cost_after=after,
        )
        series.append(day)
    return TaskReport(
        summary=summarise_figures(figures),
        outcome=TaskOutcome("distilled", "distilled: 6.4x", {"cost_reduction": 6.4, "agreement": 0.985}),
        profile={"kind": "closed_set", "repeated_share": 0.08, "answers": {"shipping": 0.24, "billing": 0.17}},
        judge=JudgeSummary.of(parse_judge("label[before:dash]")),
        series=series,
        risk_coverage=coverage_curve(),
        chosen=ChosenThreshold(0.71, 0.86),
        roi_authorised=investment("6.58", 1320),
        roi_realised=investment("5.91", 1502),
    )


def coverage_curve() -> list[CoveragePoint]:
    shares = [k / 20 for k in range(2, 21)]
    agreements = [1 - 0.002 - 0.03 * math.exp(-(1 - share) * 9) for share in shares]
    return [
        CoveragePoint(share, 1 - share * 0.34, agreement, round(800 * share), agreement - 0.012 / share**0.5)
        for share, agreement in zip(shares, agreements, strict=True)
    ]


def investment(roi: str, calls: int) -> Mapping[str, object]:
    return {
        "teacher_cost_usd": Decimal("0.0167"),
        "student_cost_usd": Decimal("0.0004"),
        "training_cost_usd": "1.25",
        "weekly_calls": 2000,
        "expected_share": 0.8,
        "break_even_calls": calls,
        "roi": roi,
    }


def decision_history(task: str, *, drift: bool) -> list[DecisionEntry]:
    def at(day: int, hour: int = 6) -> datetime:
        return START + timedelta(days=day, hours=hour)

    told = [
        DecisionEntry(
            at(2), task, "authorised", f"{task}@1", "$1.25 pays back within a week", investment("6.58", 1320)
        ),
        DecisionEntry(at(2, 7), task, "collected", f"{task}@1", "", {"dataset": "sha256-3f9a", "train": 512}),
        DecisionEntry(at(2, 8), task, "trained", f"{task}@1", "classifier of 8 labels", {"cost_usd": "0.31"}),
        DecisionEntry(
            at(4),
            task,
            "gate_promote",
            f"{task}@1",
            "agreement proven above 95%",
            {"n": 412, "agreed": 406, "agreement": 0.985, "lower": 0.958, "by_class": {"billing": 0.97}},
        ),
        DecisionEntry(at(4, 7), task, "promoted", f"{task}@1", "5% of the calls from confidence 0.71", {"share": 0.05}),
    ]
    if drift:
        told += [
            DecisionEntry(at(10, 9), task, "drift_warn", f"{task}@1", "agreement is falling", {"statistic": 22.1}),
            DecisionEntry(
                at(10, 11), task, "drift_contract", f"{task}@1", "98.5% before, 64% since", {"confidence": 0.999}
            ),
            DecisionEntry(at(10, 11), task, "demoted", f"{task}@1", "drift"),
            DecisionEntry(at(11), task, "promoted", f"{task}@2", "relearned from 380 newer answers", {"share": 0.05}),
        ]
    return told


def undistilled_task(name: str, every: list[PricedCall], days: int, outcome: str, message: str) -> TaskReport:
    figures: list[PricedCall] = []
    series = []
    for k in range(days):
        for _ in range(40):
            figures.append((TEACHER, TEACHER, False, None))
            every.append((TEACHER, TEACHER, False, None))
        at = START + timedelta(days=k)
        series.append(DailyFigures(at, 40, 0, 0, 0, None, None, None, 40 * TEACHER, 40 * TEACHER))
    return TaskReport(summarise_figures(figures), TaskOutcome(outcome, message), {"kind": "open"}, series)
