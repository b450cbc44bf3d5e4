"""Plays one log through the whole loop."""

import asyncio
import io
import logging
import random
import tempfile
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bench.traffic.deferred_store import use_deferred_store
from bench.traffic.faulty_student import corrupt_answers
from bench.traffic.generated_log import GeneratedLog, LogSpec
from bench.traffic.log_outcome import LogOutcome, count_outcome
from bench.traffic.scenarios import SCENARIOS
from rich.console import Console

from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.backtest.run import BacktestOptions, backtest_log
from understudies.embedded.platform import Platform

_PRICE = Decimal("0.03")


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """A scenario with a seed, or a recorded log with the seed of its times; `broker` plays on the real one."""

    scenario: str
    seed: int
    days: float
    broker: bool = False
    recorded: Path | None = None


def replay_log(job: ReplayJob) -> LogOutcome:
    """What became of the calls of a job's log."""
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    began, busy = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="trust-") as folder, ExitStack() as stack:
        if not job.broker:
            stack.enter_context(use_deferred_store())
        outcome = (
            _replay_recorded(job, job.recorded)
            if job.recorded
            else _replay_generated(job, Path(folder) / "calls.jsonl")
        )
    outcome.seconds, outcome.cpu_seconds = time.perf_counter() - began, time.process_time() - busy
    return outcome


def generate_log(job: ReplayJob) -> GeneratedLog:
    """The log of a made-up job."""
    scenario = SCENARIOS[job.scenario]
    rng = random.Random(f"{job.scenario}:{job.seed}")
    return scenario.make(LogSpec(rng, job.days, scenario.per_day))


def _replay_generated(job: ReplayJob, path: Path) -> LogOutcome:
    log = generate_log(job)
    log.write(path)
    outcomes = _run_backtest(
        path,
        BacktestOptions(seed=job.seed, teacher_price=_PRICE, broker=job.broker),
        SCENARIOS[job.scenario].corruption_rate,
    )
    return count_outcome(log, outcomes, job.seed)


def _replay_recorded(job: ReplayJob, path: Path) -> LogOutcome:
    options = BacktestOptions(seed=job.seed, days=job.days, teacher_price=_PRICE, broker=job.broker)
    return count_outcome(None, _run_backtest(path, options, 0.0), job.seed)


def _run_backtest(path: Path, options: BacktestOptions, spoilt: float) -> CallOutcomes:
    kept: list[CallOutcomes] = []

    def attend(platform: Platform, outcomes: CallOutcomes) -> None:
        kept.append(outcomes)
        if spoilt:
            corrupt_answers(platform, spoilt)

    asyncio.run(backtest_log(path, options, ProgressDisplay(Console(file=io.StringIO())), attend))
    return kept[0]
