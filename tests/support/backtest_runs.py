"""Backtests of small logs, with every event that the services said."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import call_logs

from understudies.backtest import run
from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.replay.call_map import CallIds
from understudies.backtest.replay.event_collector import EventCollector
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.backtest.report.report import BacktestReport, DecisionEntry
from understudies.budget.settings import BudgetSettings
from understudies.embedded.platform import Platform
from understudies.events import Event, Invocation
from understudies.runtime.bus.dead_letters import decode_records
from understudies.runtime.bus.messages import Record
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules

MIN_EXAMPLES = 150
SETTINGS = BudgetSettings(min_examples=MIN_EXAMPLES, growth=3)
RULES = Rules(tasks={"by-rule": TaskRules(critical=True)}).with_critical(frozenset({"by-option"}))
DAYS = 8.0
CHANGES_AT = 0.75


class RecordingCollector(EventCollector):
    """A witness that keeps every event."""

    def __init__(self, ids: CallIds) -> None:
        super().__init__(ids)
        self.events: list[Event] = []

    async def handle(self, records: Sequence[Record]) -> None:
        self.events += [event for _, event in decode_records(records)[0]]
        await super().handle(records)


@dataclass(frozen=True)
class BacktestRun:
    """What was reported, what was said, and what became of each call, as who attends it is told."""

    report: BacktestReport
    events: Sequence[Event]
    outcomes: CallOutcomes

    def calls_of(self, task: str) -> list[Invocation]:
        """What became of the task's calls, audits apart, in order of time."""
        found = [e for e in self.events if isinstance(e, Invocation) and e.task == task and e.origin != "audit"]
        return sorted(found, key=lambda call: (call.at, call.id))

    def decisions_of(self, task: str, *kinds: str) -> list[DecisionEntry]:
        """What was decided about a task, of some kinds or of all."""
        return [d for d in self.report.decisions if d.task == task and (not kinds or d.event in kinds)]


@dataclass(frozen=True)
class BacktestTwins:
    """The same log and seed, played in this process and as a command of its own."""

    in_process: BacktestRun
    output: str
    json: dict[str, Any]
    html: str


def run_small_backtest(path: Path, **options: Any) -> BacktestRun:
    """The backtest of a log."""
    witnesses: list[RecordingCollector] = []
    attended: list[CallOutcomes] = []

    def attend(_: Platform, outcomes: CallOutcomes) -> None:
        attended.append(outcomes)

    def collect(ids: CallIds) -> RecordingCollector:
        witnesses.append(RecordingCollector(ids))
        return witnesses[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "EventCollector", collect)
        report = asyncio.run(
            run.backtest_log(path, run.BacktestOptions(**{"budget": SETTINGS, **options}), ProgressDisplay(), attend)
        )
    (witness,) = witnesses
    return BacktestRun(report, witness.events, *attended)


def write_every_ending(path: Path) -> Path:
    """A log with one task for each way that a task can end."""
    return call_logs.write_log(
        path,
        call_logs.task_entries("easy", 1200, days=DAYS),
        call_logs.task_entries("fuzzy", 1500, days=DAYS, unclear=0.2),
        call_logs.task_entries("turning", 1400, days=DAYS, answer=call_logs.changing_answer(CHANGES_AT)),
        call_logs.task_entries("drawn", 500, days=DAYS, answer=call_logs.random_answer),
        call_logs.task_entries("skewed", 600, days=DAYS, answer=call_logs.skewed_answer),
        call_logs.task_entries("cheap", 250, days=DAYS, usage={"cost": 0.0001}),
        call_logs.task_entries("rare", 40, days=DAYS),
        call_logs.task_entries("by-flag", 250, days=DAYS, critical=True),
        call_logs.task_entries("by-option", 250, days=DAYS),
        call_logs.task_entries("by-rule", 250, days=DAYS),
        call_logs.task_entries("essays", 250, days=DAYS, answer=call_logs.essay_answer),
    )
