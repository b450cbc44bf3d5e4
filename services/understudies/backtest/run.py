"""Run a backtest: replay a log through the whole system before changing anything in production."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from understudies.backtest.constant_answers import find_constant_answers
from understudies.backtest.pricing import UnknownPrice, find_unknown_prices, price_by
from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.progress_reporter import ProgressReporter
from understudies.backtest.replay.event_collector import EventCollector
from understudies.backtest.replay.outliers import clear_outlier_times
from understudies.backtest.replay.player import replay_calls
from understudies.backtest.replay.replay_teacher import ReplayTeacher
from understudies.backtest.replay.schedule import Schedule, assign_times, schedule_calls
from understudies.backtest.replay.threads import limit_to_one_thread
from understudies.backtest.report.builder import build_report
from understudies.backtest.report.outcomes import CallOutcomes, select_judges
from understudies.backtest.report.report import BacktestReport, LogSummary
from understudies.backtest.skip_summary import describe_empty_log
from understudies.backtest.tasks import assign_tasks
from understudies.budget.investment import read_investment
from understudies.budget.settings import BudgetSettings
from understudies.budget.task_state import TaskState
from understudies.embedded.config import PlatformConfig
from understudies.embedded.platform import Platform
from understudies.evaluator.gate_decisions import decision_evidence
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import SeededIds
from understudies.importers.call_spool import CallSpool
from understudies.importers.field_map import FieldMap
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog, RecordedCall
from understudies.router.settings import RouterSettings
from understudies.runtime.bus.in_flight import InFlightTracker
from understudies.runtime.clock import VirtualClock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.rules import Rules
from understudies.runtime.settings import settings_from
from understudies.trainer.settings import TrainerSettings

_STORE_BUFFER_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """The user's options for a backtest."""

    days: float | None = None
    teacher_price: Decimal | None = None
    seed: int = 7
    broker: bool = False
    """True: play through the embedded broker, instead of a bus in memory."""
    field_map: FieldMap | None = None
    rules: Rules = field(default_factory=Rules)
    budget: BudgetSettings = field(default_factory=partial(settings_from, BudgetSettings))
    evaluator: EvaluatorSettings = field(default_factory=partial(settings_from, EvaluatorSettings))
    trainer: TrainerSettings = field(default_factory=partial(settings_from, TrainerSettings))


_JUDGE_WAIT_S: Final = 3600.0
"""A backtest waits for slow judges: the same log gives the same report."""
OnStart = Callable[[Platform, CallOutcomes], None]
"""Called before the first call is played, with the running platform and the outcomes of the calls to come."""


OnEnd = Callable[[Platform, BacktestReport], Awaitable[None]]
"""Called after the last call was played, while the platform still runs, with the report."""
_Finish = Callable[[Platform, CallOutcomes, datetime], Awaitable[BacktestReport]]


def _ignore_start(platform: Platform, outcomes: CallOutcomes) -> None:
    """Do nothing: the default for callers that need only the report."""


async def _ignore_end(platform: Platform, report: BacktestReport) -> None:
    """Do nothing: the default for callers that need only the report."""


async def backtest_log(
    path: Path,
    options: BacktestOptions,
    progress: ProgressDisplay,
    on_start: OnStart = _ignore_start,
    on_end: OnEnd = _ignore_end,
) -> BacktestReport:
    """Replay the calls of a log through all five services and report what would have been saved.

    Raises ConfigurationError if the file cannot be read or holds no call to replay.
    """
    started_at = time.perf_counter()
    parsed = _read_log(path, options.field_map, CallSpool())
    if not parsed.calls:
        raise ConfigurationError(describe_empty_log(path, parsed))
    recorded = clear_outlier_times(assign_tasks(parsed.calls))
    timeline = assign_times(recorded, days=options.days, seed=options.seed)
    calls = schedule_calls(timeline, price_by(options.teacher_price), options.seed)
    critical = frozenset(call.task or "" for _, call in timeline if call.critical)
    undated = sum(call.at is None for call in recorded)
    # What is left of the log is in the schedule.
    parsed.calls, recorded, timeline = [], [], []
    rules = options.rules.with_critical(critical)

    async def finish(platform: Platform, outcomes: CallOutcomes, end: datetime) -> BacktestReport:
        details = _collect_details(platform, rules, calls, end)
        # In a thread, for judges that ask a model about served answers that nobody has compared yet.
        report = await asyncio.to_thread(
            build_report,
            outcomes,
            details,
            source=_summarise_log(path, parsed, calls, undated, details, options),
            seed=options.seed,
            seconds=time.perf_counter() - started_at,
            version=version("understudies"),
        )
        await on_end(platform, report)
        return report

    with limit_to_one_thread():
        return await _replay(calls, rules, options, progress, on_start, finish)


def _summarise_log(
    path: Path,
    parsed: ParsedLog,
    calls: Schedule,
    undated: int,
    details: Mapping[str, Any],
    options: BacktestOptions,
) -> LogSummary:
    """Summarise the log with what makes the report doubtful: answers that never vary, and prices that are assumed."""
    days = (calls.times[-1] - calls.times[0]).total_seconds() / 86_400

    def iter_tasks() -> Iterator[tuple[str, RecordedCall]]:
        return ((call.task, call.call) for call in calls)

    constants = [constant.sentence for constant in find_constant_answers(iter_tasks)]
    unpriced: list[UnknownPrice] = []
    if options.teacher_price is None:
        unpriced = find_unknown_prices(iter_tasks(), _paying_prices(details))
    return LogSummary.of(
        str(path),
        parsed,
        round(days, 2),
        len(calls),
        undated=undated,
        warnings=[*constants, *(one.sentence for one in unpriced)],
        unpriced=unpriced,
    )


def _paying_prices(details: Mapping[str, Any]) -> dict[str, Decimal | None]:
    """Return for each task the teacher's price from which its student pays, or from which its first one would."""
    investments = {
        task: read_investment(facts["first_investment"]) or facts["appraisal"].investment
        for task, facts in details.items()
    }
    return {task: found.paying_teacher_cost for task, found in investments.items() if found is not None}


async def _replay(
    calls: Schedule,
    rules: Rules,
    options: BacktestOptions,
    progress: ProgressDisplay,
    on_start: OnStart,
    finish: _Finish,
) -> BacktestReport:
    clock = VirtualClock(calls.times[0])
    collector, teacher = EventCollector(calls.ids), ReplayTeacher()
    outcomes = CallOutcomes(calls, collector, select_judges(calls, rules), options.budget.student_cost_usd)
    with tempfile.TemporaryDirectory(prefix="understudies-backtest-") as folder:
        config = PlatformConfig(
            folder=Path(folder),
            rules=rules,
            clock=clock,
            id_factory=lambda service: SeededIds(f"{options.seed}:{service}"),
            teacher=teacher,
            redact=False,
            bus_in_memory=not options.broker,
            in_flight=InFlightTracker(),
            store_buffer_bytes=_STORE_BUFFER_BYTES,
            keeps_state=False,
            router=settings_from(RouterSettings).model_copy(
                update={
                    "port": None,
                    "auto_deliver": False,
                    "student_timeout_s": 60,
                    # A log has one answer for each call; replaying it would show a teacher that never contradicts
                    # itself.
                    "self_agreement_rate": 0,
                    "buffer_events": len(calls) * 2 + 1,
                    "critical_tasks": frozenset(name for name, rule in rules.tasks.items() if rule.critical),
                    "student_price_usd": options.budget.student_cost_usd,
                }
            ),
            budget=options.budget,
            evaluator=options.evaluator.model_copy(update={"judge_wait_s": _JUDGE_WAIT_S}),
            trainer=options.trainer,
            extra_services=(collector,),
        )
        async with Platform(config) as platform:
            on_start(platform, outcomes)
            reporter = ProgressReporter(platform, outcomes, progress)
            end = await replay_calls(platform, clock, calls, reporter, teacher.expect)
            return await finish(platform, outcomes, end)


def _collect_details(platform: Platform, rules: Rules, calls: Schedule, end: datetime) -> dict[str, Any]:
    """Collect what the budget knows of each task at the end: outcome, appraisal, state and evidence."""
    return {
        task: {
            "outcome": platform.budget.optimize_for_budget(task, rules.for_task(task).weekly_budget_usd, end),
            "appraisal": platform.budget.appraisal(task, end),
            "first_investment": _first_investment(platform.budget.task_state(task)),
            "task_state": platform.budget.task_state(task),
            "evidence": _trial_evidence(platform, task),
            "critical": rules.for_task(task).critical,
            "promised": rules.for_task(task).min_agreement,
        }
        for task in calls.tasks
    }


def _first_investment(state: TaskState) -> Mapping[str, Any]:
    """Return the numbers with which the task's first student was authorised; empty if none was."""
    return next((student.investment for student in state.students.values() if student.investment), {})


def _trial_evidence(platform: Platform, task: str) -> dict[str, Any]:
    """Return what the gates of the task's student know at the end; empty if none is on trial or in force."""
    task_state = platform.budget.task_state(task)
    student = task_state.serving or task_state.candidate
    trial = platform.evaluator.evaluation.trials.get(student.name) if student else None
    return decision_evidence(trial) if trial else {}


def _read_log(path: Path, field_map: FieldMap | None, spool: CallSpool) -> ParsedLog:
    try:
        return read_calls(path, field_map, spool=spool)
    except OSError as error:
        raise ConfigurationError(f"cannot read the calls in {str(path)!r}: {error.strerror or error}") from error
