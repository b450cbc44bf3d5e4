"""Define the report of a backtest: the outcomes, and what students would have saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import orjson

from understudies.backtest.pricing import UnknownPrice, describe_assumption
from understudies.backtest.report.figures import FiguresSummary
from understudies.backtest.report.json_values import to_iso_utc, to_json, to_json_usd
from understudies.backtest.report.projection import SavingsProjection
from understudies.backtest.report.promise import AgreementPromise
from understudies.backtest.skip_summary import count_reasons
from understudies.importers.recorded_call import ParsedLog, SkippedLine
from understudies.judges.base import Judge

DecisionEvent = Literal[
    "authorised",
    "collected",
    "trained",
    "rejected",
    "qualified",
    "promoted",
    "demoted",
    "retired",
    "drift_warn",
    "drift_contract",
    "inconclusive",
    "gate_promote",
    "gate_reject",
    "not_worth_it",
    "no_change",
    "collecting",
    "training",
    "fallback_teacher",
    "distilled",
    "critical",
]
_MAX_SKIPPED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """A decision, with its evidence."""

    at: datetime
    task: str
    event: DecisionEvent
    student: str | None = None
    reason: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "at": to_iso_utc(self.at),
            "task": self.task,
            "student": self.student,
            "event": self.event,
            "reason": self.reason,
            "evidence": to_json(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class DailyFigures:
    """A task's day; agreement and its bounds are as known at its end (None before any evidence)."""

    at: datetime
    calls: int
    served: int
    agreed_served: int
    audited: int
    agreement: float | None
    lower: float | None
    upper: float | None
    cost_before: Decimal
    cost_after: Decimal
    day_agreement: float | None = None
    """The agreement in the day's own verdicts alone."""
    student: str | None = None
    """The student that the verdicts are on."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "at": to_iso_utc(self.at),
            "calls": self.calls,
            "served": self.served,
            "agreed_served": self.agreed_served,
            "audited": self.audited,
            "agreement": to_json(self.agreement),
            "lower": to_json(self.lower),
            "upper": to_json(self.upper),
            "day_agreement": to_json(self.day_agreement),
            "student": self.student,
            "cost_before": to_json_usd(self.cost_before),
            "cost_after": to_json_usd(self.cost_after),
        }


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """The share of calls that a student would serve, and its agreement on them, at one threshold of confidence."""

    coverage: float
    threshold: float
    agreement: float
    n: int
    lower: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "coverage": to_json(self.coverage),
            "threshold": to_json(self.threshold),
            "agreement": to_json(self.agreement),
            "n": self.n,
            "lower": to_json(self.lower),
        }


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """The threshold that the gate chose, and the share of calls expected to reach it."""

    threshold: float
    coverage: float


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """The final state of a task: `distilled`, `not_worth_it`, `fallback_teacher`, and so on."""

    outcome: str
    message: str = ""
    numbers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgeSummary:
    """The judge that compares the task's answers, and a description of how."""

    name: str
    description: str

    @classmethod
    def of(cls, judge: Judge) -> "JudgeSummary":
        """Summarise a judge by its own name and description."""
        return cls(judge.name, judge.description)

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "reads": self.description}


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task of a backtest."""

    summary: FiguresSummary
    outcome: TaskOutcome
    profile: Mapping[str, object] = field(default_factory=dict)
    series: Sequence[DailyFigures] = ()
    risk_coverage: Sequence[CoveragePoint] = ()
    chosen: ChosenThreshold | None = None
    roi_authorised: Mapping[str, object] | None = None
    roi_realised: Mapping[str, object] | None = None
    judge: JudgeSummary | None = None
    promise: AgreementPromise | None = None
    shortfall: str | None = None
    """Why the served calls agreed less than promised on average, if they did."""

    def to_dict(self) -> dict[str, Any]:
        chosen = self.chosen and {
            "threshold": to_json(self.chosen.threshold),
            "coverage": to_json(self.chosen.coverage),
        }
        return {
            **self.summary.to_dict(),
            "outcome": {
                "outcome": self.outcome.outcome,
                "message": self.outcome.message,
                "numbers": to_json(self.outcome.numbers),
            },
            "profile": to_json(self.profile),
            "judge": self.judge and self.judge.to_dict(),
            "promise": self.promise and self.promise.to_dict(),
            "shortfall": self.shortfall,
            "series": [day.to_dict() for day in self.series],
            "risk_coverage": [point.to_dict() for point in self.risk_coverage],
            "chosen": chosen,
            "roi": {"authorised": to_json(self.roi_authorised), "realised": to_json(self.roi_realised)},
        }


@dataclass(frozen=True, slots=True)
class LogSummary:
    """A summary of the log; `undated` calls have no time, or an implausible one.

    `warnings` say what makes the report doubtful: constant answers, and prices that are assumed.
    """

    path: str
    format: str
    calls: int
    skipped: Sequence[SkippedLine]
    days: float
    undated: int = 0
    warnings: Sequence[str] = ()
    unpriced: Sequence[UnknownPrice] = ()

    @classmethod
    def of(
        cls,
        path: str,
        parsed: ParsedLog,
        days: float,
        calls: int | None = None,
        undated: int = 0,
        warnings: Sequence[str] = (),
        unpriced: Sequence[UnknownPrice] = (),
    ) -> "LogSummary":
        """Summarise a parsed log that was played over a number of days, with its calls or `calls` of them."""
        calls = len(parsed.calls) if calls is None else calls
        skipped = tuple(parsed.skipped)
        return cls(path, parsed.format, calls, skipped, days, undated, tuple(warnings), tuple(unpriced))

    @property
    def assumption(self) -> str:
        """That prices are assumed, in one line; empty if all are known."""
        return describe_assumption(self.unpriced, self.calls) if self.unpriced else ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "format": self.format,
            "calls": self.calls,
            "broken": [_skipped_to_dict(line) for line in self.skipped[:_MAX_SKIPPED_SHOWN]],
            "broken_total": len(self.skipped),
            "broken_by_reason": [
                {"reason": reason.reason, "lines": reason.count, "first": _skipped_to_dict(reason.first)}
                for reason in count_reasons(self.skipped)
            ],
            "warnings": list(self.warnings),
            "unpriced": [one.to_dict() for one in self.unpriced],
            "days": to_json(self.days),
            "undated": self.undated,
        }


def _skipped_to_dict(skipped: SkippedLine) -> dict[str, Any]:
    named = {} if skipped.file is None else {"file": skipped.file}
    return {**named, "line": skipped.line, "reason": skipped.reason}


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """The whole report."""

    overall: FiguresSummary
    tasks: Mapping[str, TaskReport]
    decisions: Sequence[DecisionEntry]
    input: LogSummary
    seed: int
    seconds: float
    version: str
    projection: SavingsProjection | None = None
    recommendation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types; costs are numbers of US dollars rounded to 1e-6."""
        return {
            **self.overall.to_dict(),
            "tasks": {name: task.to_dict() for name, task in self.tasks.items()},
            "decisions": [decision.to_dict() for decision in self.decisions],
            "input": self.input.to_dict(),
            "projection": self.projection and self.projection.to_dict(),
            "recommendation": self.recommendation,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "version": self.version,
        }

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
