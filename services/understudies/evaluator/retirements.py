"""What becomes of students whose teacher is retired: named before, and proven anew from that day on or earlier."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from understudies.datasets.teacher_lineage import Retirement, retirement_of
from understudies.evaluator.trial import Trial
from understudies.events import Drift, Event, SeededIds
from understudies.runtime.rules.rules import TaskRulesLookup

_log = logging.getLogger(__name__)

_NOTICE_DAYS: Final = (3, 14, 60)
"""How many days before its teacher is retired a student is named: at first 60, and again as the day comes nearer."""


class Retirements:
    """Apply the days on which teachers are retired, by the rules and the built-in table."""

    def __init__(self, rules: TaskRulesLookup) -> None:
        self._rules = rules
        self._announced: set[tuple[str, str, int]] = set()

    def apply(self, trials: Iterable[Trial], now: datetime) -> list[Event]:
        """Hand students over to the proven successor of their teacher, or send them back to the canary share.

        A student that was proven against the successor by then goes on. Without a restriction the others would serve
        until three answers of another model have come; and where an alias goes on under its name, no answer tells.
        """
        events: list[Event] = []
        declared = self._rules.retirements()
        for trial in trials:
            for model in sorted(trial.changes.teachers):
                retirement = retirement_of(model, declared)
                if retirement is None or retirement.at <= trial.call_gate.since:
                    continue
                if retirement.at > now:
                    self._announce(trial, retirement, now)
                elif trial.succeed_teacher({model}, now):
                    _log.info("student %s goes on: it was proven against the successor of %s", trial.student, model)
                else:
                    events += _restrict(trial, retirement, now)
        return events

    def _announce(self, trial: Trial, retirement: Retirement, now: datetime) -> None:
        left = retirement.at - now
        notice = next((days for days in _NOTICE_DAYS if left <= timedelta(days=days)), None)
        if notice is None or (trial.student, retirement.model, notice) in self._announced:
            return
        self._announced.add((trial.student, retirement.model, notice))
        _log.warning(
            "%s answers for the last time before %s (%s): student %s learned from it and has to be proven anew; %s",
            retirement.model,
            retirement.on.isoformat(),
            retirement.source,
            trial.student,
            self._describe_succession(trial, retirement),
        )

    def _describe_succession(self, trial: Trial, retirement: Retirement) -> str:
        successor = self._rules.successor_of(retirement.model)
        rules = self._rules.for_task(trial.promotion.task)
        if successor is None:
            return (
                "let its successor answer the task by then, or name it in the rules, so that the proof begins earlier: "
                f'[teachers.NAME] successors = {{"{retirement.model}" = "MODEL"}}'
            )
        if trial.succession is not None:
            return f"it {trial.succession.description}"
        if rules.succession_days == 0:
            return f"let {successor} answer the task by then"
        first = retirement.on - timedelta(days=rules.succession_days)
        return f"from {first.isoformat()} on {successor} is asked about {rules.succession_sample:.0%} of its calls"


def _restrict(trial: Trial, retirement: Retirement, now: datetime) -> list[Event]:
    was_announced = trial.is_serving or trial.is_announced
    is_restricted = trial.apply_restriction(trial.changes.on_retirement(now))
    return [_retirement_drift(trial, retirement, now)] if is_restricted and was_announced else []


def _retirement_drift(trial: Trial, retirement: Retirement, now: datetime) -> Drift:
    return Drift(
        id=SeededIds(f"retirement:{retirement.model}:{trial.student}")(retirement.at),
        at=now,
        task=trial.promotion.task,
        student=trial.student,
        tier="warn",
        drifted=False,
        cause="teacher",
        confidence=1.0,
        statistic=trial.confident_share.coverage_shift.share,
        audited=trial.audit_count,
    )
