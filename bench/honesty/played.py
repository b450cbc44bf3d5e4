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

from bench.honesty.late_store import late_store
from bench.honesty.log import Frame, Log
from bench.honesty.memory_bus import in_memory
from bench.honesty.outcome import Outcome, outcome_of
from bench.honesty.scenarios import SCENARIOS
from bench.honesty.spoilt import spoil
from rich.console import Console

from understudies.backtest.accounts import Outcomes
from understudies.backtest.progress import Progress
from understudies.backtest.run import Options, backtest
from understudies.embedded import Platform

_PRICE = Decimal("0.03")


@dataclass(frozen=True, slots=True)
class Job:
    """A scenario with a seed, or a recorded log with the seed of its times; `broker` plays on the real one."""

    scenario: str
    seed: int
    days: float
    broker: bool = False
    recorded: Path | None = None


def played(job: Job) -> Outcome:
    """What became of the calls of a job's log."""
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    began, busy = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="trust-") as folder, ExitStack() as stack:
        if not job.broker:
            stack.enter_context(in_memory())
            stack.enter_context(late_store())
        outcome = _recorded(job, job.recorded) if job.recorded else _made(job, Path(folder) / "calls.jsonl")
    outcome.seconds, outcome.cpu_seconds = time.perf_counter() - began, time.process_time() - busy
    return outcome


def log_of(job: Job) -> Log:
    """The log of a made-up job."""
    scenario = SCENARIOS[job.scenario]
    rng = random.Random(f"{job.scenario}:{job.seed}")
    return scenario.make(Frame(rng, job.days, scenario.per_day))


def _made(job: Job, path: Path) -> Outcome:
    log = log_of(job)
    log.write(path)
    outcomes = _outcomes(path, Options(seed=job.seed, teacher_price=_PRICE), SCENARIOS[job.scenario].spoilt)
    return outcome_of(log, outcomes, job.seed)


def _recorded(job: Job, path: Path) -> Outcome:
    options = Options(seed=job.seed, days=job.days, teacher_price=_PRICE)
    return outcome_of(None, _outcomes(path, options, 0.0), job.seed)


def _outcomes(path: Path, options: Options, spoilt: float) -> Outcomes:
    kept: list[Outcomes] = []

    def attend(platform: Platform, outcomes: Outcomes) -> None:
        kept.append(outcomes)
        if spoilt:
            spoil(platform, spoilt)

    asyncio.run(backtest(path, options, Progress(Console(file=io.StringIO())), attend))
    return kept[0]
