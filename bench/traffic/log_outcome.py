"""What became of one log."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.traffic.call_counts import CallCounts
from bench.traffic.drift_response import find_withdrawal, was_in_service
from bench.traffic.generated_log import GeneratedLog

from understudies.backtest.report.outcomes import CallOutcomes
from understudies.events import Drift, Promotion


def _new_counts() -> defaultdict[str, CallCounts]:
    return defaultdict(CallCounts)


@dataclass(slots=True)
class LogOutcome:
    """The calls of one log, counted in all ways that the bench looks at.

    `classes` are those of the teacher's answers, `students` counts what each served before anything changed.
    `withdrawn_after_days` is how long after the change the student then in force was taken back, None where it never
    was; `wrong_until` and `wrong_since` count its wrong answers to calls that the change hit, until then and in all.
    """

    seed: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    all: CallCounts = field(default_factory=CallCounts)
    before: CallCounts = field(default_factory=CallCounts)
    days: defaultdict[str, CallCounts] = field(default_factory=_new_counts)
    groups: defaultdict[str, CallCounts] = field(default_factory=_new_counts)
    classes: defaultdict[str, CallCounts] = field(default_factory=_new_counts)
    students: defaultdict[str, CallCounts] = field(default_factory=_new_counts)
    in_force: bool = False
    withdrawn_after_days: float | None = None
    wrong_until: int = 0
    wrong_since: int = 0
    story: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """In the types of JSON."""
        tables = {name: getattr(self, name) for name in ("days", "groups", "classes", "students")}
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "all": self.all.to_json(),
            "before": self.before.to_json(),
            **{name: {key: one.to_json() for key, one in sorted(table.items())} for name, table in tables.items()},
            "in_force": self.in_force,
            "answered_days": self.withdrawn_after_days,
            "wrong_until": self.wrong_until,
            "wrong_since": self.wrong_since,
            "story": self.story,
        }


def count_outcome(log: GeneratedLog | None, outcomes: CallOutcomes, seed: int) -> LogOutcome:
    """Count what became of the calls of a log; where it is a recorded one, nothing is known beside its answers."""
    found = LogOutcome(seed)
    changed = log.changed_at if log else None
    story = outcomes.collector.lifecycle_events
    answered = find_withdrawal(story, changed) if changed else None
    for call in outcomes.calls:
        event = outcomes.collector.invocations.get(call.id)
        if event is None:
            continue
        served = event.served_by == "student"
        wrong = served and outcomes.check_agreement(call, event) is not True
        group = log.calls[call.call.line - 1].group if log else "all"
        for counts in (found.all, found.days[call.at.date().isoformat()], found.groups[group]):
            counts.add(served, wrong)
        found.classes[call.call.response.message.text].add(served, wrong)
        if changed is None or call.at < changed:
            found.before.add(served, wrong)
            found.students[event.student if served and event.student else "none"].add(served, wrong)
        elif log is not None and group in log.changed_groups and wrong:
            found.wrong_since += 1
            found.wrong_until += answered is None or call.at < answered
    found.students.pop("none", None)
    found.in_force = changed is not None and was_in_service(story, changed)
    found.withdrawn_after_days = _days_between(changed, answered)
    found.story = [line for event in story if isinstance(event, Promotion | Drift) for line in _format_event(event)]
    return found


def _days_between(changed: datetime | None, answered: datetime | None) -> float | None:
    return None if changed is None or answered is None else round((answered - changed).total_seconds() / 86_400, 2)


def _format_event(event: Promotion | Drift) -> list[str]:
    if isinstance(event, Drift):
        return [f"{event.at:%m-%d %H} {event.student} {event.tier} alarm"]
    if event.stage in ("authorised", "collected"):
        return []
    share = f" share {event.share:g} from {event.threshold:.3f}" if event.threshold is not None else ""
    return [f"{event.at:%m-%d %H} {event.student} {event.stage}{share}: {event.reason[:100]}"]
