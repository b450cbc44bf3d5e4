"""A backtest: yesterday's calls through the whole loop, before anything is touched."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from understudies.backtest.accounts import Outcomes, judges_of
from understudies.backtest.assemble import assemble
from understudies.backtest.importers import read_calls
from understudies.backtest.play import Scheduled, play, schedule
from understudies.backtest.pricing import price_of
from understudies.backtest.progress import Progress
from understudies.backtest.recorded import Reading
from understudies.backtest.replay import ReplayTeacher
from understudies.backtest.report import Input, Report
from understudies.backtest.strays import without_strays
from understudies.backtest.tasks import named
from understudies.backtest.threads import one_thread
from understudies.backtest.timeline import spread
from understudies.backtest.watch import Watch
from understudies.backtest.witness import Witness
from understudies.budget import BudgetSettings
from understudies.embedded import Plan, Platform
from understudies.evaluator import EvaluatorSettings
from understudies.evaluator.promise import evidence_of
from understudies.events import SeededIds
from understudies.router import RouterSettings
from understudies.runtime import ConfigurationError, Flow, VirtualClock
from understudies.runtime.environment import settings_from
from understudies.runtime.rules import Rules
from understudies.trainer import TrainerSettings


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose about a backtest."""

    days: float | None = None
    teacher_price: Decimal | None = None
    seed: int = 7
    rules: Rules = field(default_factory=Rules)
    budget: BudgetSettings = field(default_factory=partial(settings_from, BudgetSettings))
    evaluator: EvaluatorSettings = field(default_factory=partial(settings_from, EvaluatorSettings))
    trainer: TrainerSettings = field(default_factory=partial(settings_from, TrainerSettings))


Attend = Callable[[Platform, Outcomes], None]
"""Told the running platform and what will become of each call, before the first is played."""


def _nobody(platform: Platform, outcomes: Outcomes) -> None:
    """Whoever wants the report alone."""


async def backtest(path: Path, options: Options, progress: Progress, attend: Attend = _nobody) -> Report:
    """Play the calls of a log through all five services and report what would have been saved.

    Raises ConfigurationError where the file cannot be read or holds no call that can be played.
    """
    began = time.perf_counter()
    reading = _read(path)
    if not reading.calls:
        raise ConfigurationError(_nothing_to_play(path, reading))
    recorded = without_strays(named(reading.calls))
    timeline = spread(recorded, days=options.days, seed=options.seed)
    calls = schedule(timeline, lambda call: price_of(call, options.teacher_price), options.seed)
    critical = frozenset(call.task for call in calls if call.call.critical)
    rules = options.rules.with_critical(critical)
    with one_thread():
        outcomes, details = await _played(calls, rules, options, progress, attend)
    days = (calls[-1].at - calls[0].at).total_seconds() / 86_400
    return assemble(
        outcomes,
        details,
        source=Input.of(str(path), reading, round(days, 2), undated=sum(call.at is None for call in recorded)),
        seed=options.seed,
        seconds=time.perf_counter() - began,
        version=version("understudies"),
    )


async def _played(
    calls: Sequence[Scheduled], rules: Rules, options: Options, progress: Progress, attend: Attend
) -> tuple[Outcomes, Mapping[str, Any]]:
    clock = VirtualClock(calls[0].at)
    witness = Witness()
    outcomes = Outcomes(calls, witness, judges_of(calls, rules), options.budget.student_cost_usd)
    with tempfile.TemporaryDirectory(prefix="understudies-backtest-") as folder:
        plan = Plan(
            folder=Path(folder),
            rules=rules,
            clock=clock,
            ids=lambda service: SeededIds(f"{options.seed}:{service}"),
            teacher=ReplayTeacher({c.id: c.call for c in calls}, {c.id: c.price for c in calls}),
            redact=False,
            flow=Flow(),
            keeps_state=False,
            router=settings_from(RouterSettings).model_copy(
                update={
                    "port": None,
                    "auto_deliver": False,
                    "student_timeout_s": 60,
                    # A log has one answer a call; playing it back would show a teacher that never contradicts itself.
                    "self_agreement_rate": 0,
                    "buffer_events": len(calls) * 2 + 1,
                    "critical_tasks": frozenset(name for name, rule in rules.tasks.items() if rule.critical),
                    "student_price_usd": options.budget.student_cost_usd,
                }
            ),
            budget=options.budget,
            evaluator=options.evaluator,
            trainer=options.trainer,
            witnesses=(witness,),
        )
        async with Platform(plan) as platform:
            attend(platform, outcomes)
            watch = Watch(platform, outcomes, progress)
            end = await play(platform, clock, calls, watch)
            return outcomes, _details(platform, rules, calls, end)


def _details(platform: Platform, rules: Rules, calls: Sequence[Scheduled], end: datetime) -> dict[str, Any]:
    """For each task what the budget knows at the end: outcome, profile, ledger, appraisal."""
    return {
        task: {
            "outcome": platform.budget.optimize_for_budget(task, rules.of(task).weekly_budget_usd, end),
            "appraisal": platform.budget.appraisal(task, end),
            "book": platform.budget.book(task),
            "evidence": _evidence(platform, task),
            "critical": rules.of(task).critical,
        }
        for task in sorted({call.task for call in calls})
    }


def _evidence(platform: Platform, task: str) -> dict[str, Any]:
    """What the gates of the task's student know at the end; nothing where none is on trial or in force."""
    book = platform.budget.book(task)
    student = book.in_force or book.on_trial
    trial = platform.evaluator.evaluation.trials.get(student.name) if student else None
    return evidence_of(trial) if trial else {}


def _read(path: Path) -> Reading:
    try:
        return read_calls(path)
    except OSError as error:
        raise ConfigurationError(f"cannot read the calls in {str(path)!r}: {error.strerror or error}") from error


def _nothing_to_play(path: Path, reading: Reading) -> str:
    if not reading.broken:
        return f"{str(path)!r} is empty; expected one JSON object a line with `messages`, the last one the answer"
    first = reading.broken[0]
    return (
        f"{str(path)!r} holds no recorded call: all {len(reading.broken)} lines were skipped, "
        f"line {first.line} because: {first.reason}"
    )
