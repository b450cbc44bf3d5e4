"""One line for every change of phase, and a summary an hour."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from tests.support.budget_harness import (
    SETTINGS,
    TASK,
    BudgetHarness,
    at_hour,
    gate_decision,
    promotion_stage,
    teacher_call,
    teacher_calls,
    trained_promotion,
)

from understudies.evaluator.evaluation import Evaluation
from understudies.runtime.store import Store
from understudies.status.phase_log import PhaseLog
from understudies.status.reader import StatusReader


class NoTrials:
    trials: dict[str, Any] = {}  # noqa: RUF012 - stays empty


def reader_of(house: BudgetHarness) -> StatusReader:
    return StatusReader(
        store=cast(Store, None),
        budget=house.app,
        evaluation=cast(Evaluation, NoTrials()),
        rules=house.rules,
        settings=SETTINGS,
        not_loaded=dict,
        source="a test",
    )


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    caplog.set_level(logging.INFO, "understudies.status")
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Collect()
    logging.getLogger("understudies.status.phase_log").addHandler(handler)
    yield lines
    logging.getLogger("understudies.status.phase_log").removeHandler(handler)


async def test_each_change_is_told_once_with_what_comes_next(said: list[str]) -> None:
    house = BudgetHarness()
    log = PhaseLog(reader_of(house))
    log.check(at_hour(0))
    await house.handle(*teacher_calls(30, 0))
    for hour in (1, 1, 1.5):
        log.check(at_hour(hour))
    told = [line for line in said if line.startswith("task ")]
    assert [line.partition(";")[0] for line in told] == [f"task {TASK}: recording"]
    assert told[0].endswith("waits for examples: 30 of the 60 needed, about 1 h more at the pace so far")
    await house.handle(*teacher_calls(100, 1, first=30))
    await house.tick(2)
    log.check(at_hour(2))
    await house.handle(promotion_stage("collected", hour=2), trained_promotion(hour=3), gate_decision(hour=26))
    await house.tick(26)
    log.check(at_hour(26))
    assert [line.partition(";")[0] for line in said if line.startswith("task ")] == [
        f"task {TASK}: recording",
        f"task {TASK}: recording → trial",
        f"task {TASK}: trial → serving",
    ]


async def test_every_hour_is_summed_up(said: list[str]) -> None:
    house = BudgetHarness()
    log = PhaseLog(reader_of(house))
    await house.handle(*teacher_calls(100, 0), teacher_call(task="other"))
    log.check(at_hour(1))
    await house.handle(
        *teacher_calls(5, 1),
        *(teacher_call(1, 1, cost="0.0002", served_by="student", student="triage@1") for _ in range(3)),
    )
    log.check(at_hour(1.9))
    assert not [line for line in said if line.startswith("tasks:")]
    log.check(at_hour(2) + timedelta(seconds=1))
    log.check(at_hour(2.5))
    (line,) = [line for line in said if line.startswith("tasks:")]
    assert line == ("tasks: 2 recording; last hour: 8 calls, 3 served by students, $0.03 saved; to date: $0.03 saved")
