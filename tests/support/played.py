"""Backtests of small logs, with every event that the services said."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import logs

from understudies.backtest import run
from understudies.backtest.accounts import Outcomes
from understudies.backtest.progress import Progress
from understudies.backtest.report import Decision, Report
from understudies.backtest.witness import Witness
from understudies.budget import BudgetSettings
from understudies.embedded import Platform
from understudies.events import Event, Invocation
from understudies.runtime import Record, decode
from understudies.runtime.rules import Rules, TaskRules

MIN_EXAMPLES = 150
SETTINGS = BudgetSettings(min_examples=MIN_EXAMPLES, patience_hours=0, growth=3)
RULES = Rules(tasks={"by-rule": TaskRules(critical=True)}).with_critical(frozenset({"by-option"}))
DAYS = 8.0
TURNS_AT = 0.75


class Recording(Witness):
    """A witness that keeps every event."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    async def handle(self, records: Sequence[Record]) -> None:
        self.events += [event for _, event in decode(records)[0]]
        await super().handle(records)


@dataclass(frozen=True)
class Played:
    """What was reported, what was said, and what became of each call, as who attends it is told."""

    report: Report
    events: Sequence[Event]
    outcomes: Outcomes

    def calls(self, task: str) -> list[Invocation]:
        """What became of the task's calls, audits apart, in order of time."""
        found = [e for e in self.events if isinstance(e, Invocation) and e.task == task and e.origin != "audit"]
        return sorted(found, key=lambda call: (call.at, call.id))

    def decisions(self, task: str, *kinds: str) -> list[Decision]:
        """What was decided about a task, of some kinds or of all."""
        return [d for d in self.report.decisions if d.task == task and (not kinds or d.event in kinds)]


@dataclass(frozen=True)
class Twins:
    """The same log and seed, played in this process and as a command of its own."""

    played: Played
    output: str
    json: dict[str, Any]
    html: str


def played(path: Path, **options: Any) -> Played:
    """The backtest of a log."""
    witness = Recording()
    attended: list[Outcomes] = []

    def attend(_: Platform, outcomes: Outcomes) -> None:
        attended.append(outcomes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Witness", lambda: witness)
        report = asyncio.run(run.backtest(path, run.Options(**{"budget": SETTINGS, **options}), Progress(), attend))
    return Played(report, witness.events, *attended)


def every_ending(path: Path) -> Path:
    """A log with one task for each way that a task can end."""
    return logs.write(
        path,
        logs.task("easy", 1200, days=DAYS),
        logs.task("fuzzy", 1500, days=DAYS, unclear=0.2),
        logs.task("turning", 1400, days=DAYS, answer=logs.turning(TURNS_AT)),
        logs.task("drawn", 500, days=DAYS, answer=logs.drawn),
        logs.task("skewed", 600, days=DAYS, answer=logs.skewed),
        logs.task("cheap", 250, days=DAYS, usage={"cost": 0.0001}),
        logs.task("rare", 40, days=DAYS),
        logs.task("by-flag", 250, days=DAYS, critical=True),
        logs.task("by-option", 250, days=DAYS),
        logs.task("by-rule", 250, days=DAYS),
        logs.task("essays", 250, days=DAYS, answer=logs.essay),
    )
