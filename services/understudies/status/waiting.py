"""Say what a task waits for, in words and with the numbers that decide it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from understudies.budget.appraisal import Appraisal
from understudies.budget.ramp import verdicts_needed
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.events import Cause
from understudies.status.standing import Phase, TrialProgress

_STEPS: Final[Mapping[str, str]] = {
    "authorised": "its dataset, which is collected from the recorded calls",
    "collected": "its training",
}
CHANGES: Final[Mapping[Cause, str]] = {
    "agreement": "its audits disagree",
    "traffic": "it is confident on a different share of calls than was proven",
    "teacher": "another model answers as the teacher",
    "calendar": "it has not been judged on this kind of day yet",
}
"""Why a serving student is held at the canary share, or was taken out of service."""
_HOUR: Final = timedelta(hours=1)
_LEAST_GAIN: Final = 0.005
"""Share of all calls that a successor must be expected to add for its price to be the reason."""


def find_phase(task: TaskState, appraisal: Appraisal, *, critical: bool) -> Phase:
    """Return the phase of a task.

    A task that would not pay at the calls so far is recorded on until it has the examples that a student needs: only
    then is it kept with the teacher.
    """
    if critical:
        return "critical"
    if task.steering.paused is not None:
        return "paused"
    if task.serving is not None:
        return "drifted" if task.serving.drift is not None else "serving"
    if task.candidate is not None:
        return "trial"
    latest = task.latest_student
    if latest is not None and latest.promotion.stage == "demoted":
        return "drifted"
    lacks_examples = task.examples < appraisal.needed_examples
    if appraisal.verdict == "refuse" and (appraisal.is_final or not lacks_examples):
        return "kept with the teacher"
    return "recording"


def describe_wait(
    task: TaskState,
    appraisal: Appraisal,
    settings: BudgetSettings,
    now: datetime,
    *,
    phase: Phase,
    progress: TrialProgress | None = None,
    next_look: datetime | None = None,
    not_loaded: str | None = None,
    awaiting_approval: str | None = None,
    training: str | None = None,
) -> str:
    """Return what a task waits for in one sentence."""
    if phase == "critical":
        return "nothing: it is declared critical and stays with the teacher"
    if phase == "paused":
        return "its resumption by `understudies steer resume`; the teacher answers until then"
    if awaiting_approval is not None:
        return f"the approval of {awaiting_approval}, which is proven: `understudies steer approve`"
    if task.serving is not None:
        return _describe_serving(task, task.serving, appraisal, settings, now, not_loaded)
    if task.candidate is not None:
        return describe_trial(task.candidate.name, task.candidate.promotion.stage, progress, next_look, training)
    if phase == "kept with the teacher":
        return f"a change: {_as_clause(appraisal.reason)}"
    if appraisal.verdict == "authorise":
        return f"its authorisation: {_as_clause(appraisal.reason)}"
    missing = f"examples: {task.examples} of the {appraisal.needed_examples} needed"
    if not is_volume_known(task, now):
        return f"{missing}; whether a student pays is known after a whole hour of calls"
    if appraisal.verdict == "refuse":
        return f"{missing}; so far a student would not pay: {_as_clause(appraisal.reason)}"
    if task.examples < appraisal.needed_examples:
        return f"{missing}{_describe_pace(task, appraisal, now)}"
    return f"time between two students: {appraisal.reason}"


def is_volume_known(task: TaskState, now: datetime) -> bool:
    """Return whether calls were counted for a whole hour, without which there is no forecast."""
    return bool(task.hourly_counts(now))


def _describe_serving(
    task: TaskState,
    student: StudentState,
    appraisal: Appraisal,
    settings: BudgetSettings,
    now: datetime,
    not_loaded: str | None,
) -> str:
    if student.drift is not None:
        return f"the demotion of {student.name}; the teacher answers"
    if not_loaded is not None:
        return describe_unloaded(student.name, not_loaded)
    if student.restriction is not None:
        return f"a new proof, at the canary share until then: {CHANGES[student.restriction.cause]}"
    larger = [share for share in settings.canary if share > student.promotion.share]
    if larger:
        return f"the next share, {larger[0]:.0%}: {_describe_step(student, settings, now)}"
    if task.candidate is not None:
        return f"the trial of its successor {task.candidate.name}, which is {task.candidate.promotion.stage}"
    if appraisal.verdict == "refuse":
        investment = appraisal.investment
        if investment is not None and investment.expected_share < _LEAST_GAIN:
            return f"nothing: a successor is not expected to serve more calls than {student.name} does"
        return f"nothing: a successor would not pay: {_as_clause(appraisal.reason)}"
    return f"a successor: {_as_clause(appraisal.reason)}"


def _describe_step(student: StudentState, settings: BudgetSettings, now: datetime) -> str:
    needed = verdicts_needed(student.promotion.share, settings)
    text = f"{student.step_audited} of the {needed} audits needed, of which {student.step_agreed} agreed"
    end = None if student.step_since is None else student.step_since + timedelta(hours=settings.step_hours)
    return text if end is None or end <= now else f"{text}, and not before {_format_moment(end)}"


def describe_unloaded(student: str, why: str) -> str:
    """Return what a task waits for whose student in force cannot be loaded."""
    return f"the files of {student}; the teacher answers until it can be loaded: {why}"


def describe_trial(
    student: str,
    stage: str,
    progress: TrialProgress | None,
    next_look: datetime | None,
    training: str | None = None,
) -> str:
    """Return what a task waits for while a student is collected for, trained or judged."""
    if stage in _STEPS:
        how_far = f": {training}" if training is not None and stage == "collected" else ""
        return f"{_STEPS[stage]} ({student}){how_far}"
    if progress is None:
        return f"the trial of {student}"
    if next_look is None:
        return f"calls on which {student} can be judged; {progress.verdicts} held-out verdicts so far"
    days = "1 whole day" if progress.whole_days == 1 else f"{progress.whole_days} whole days"
    return (
        f"the look at the gates of {student} at {_format_moment(next_look)}; so far {progress.verdicts} verdicts "
        f"on distinct inputs and {progress.calls} on calls in {days}, evidence {progress.input_evidence:.3g} and "
        f"{progress.call_evidence:.3g} of {progress.evidence_needed:.3g}"
    )


def _describe_pace(task: TaskState, appraisal: Appraisal, now: datetime) -> str:
    """Return when the missing examples are there if they come as so far; empty if that is unknown or they are there."""
    begun = max(filter(None, (task.volume.first_hour, task.valid_since)), default=None)
    missing = appraisal.needed_examples - task.examples
    if begun is None or missing <= 0 or not task.examples or now - begun < _HOUR:
        return ""
    hours = missing * ((now - begun) / _HOUR) / task.examples
    return f", about {_format_hours(hours)} more at the pace so far"


def _as_clause(reason: str) -> str:
    """Return a sentence as part of another one.

    >>> _as_clause("The student costs $0.03 a call."), _as_clause("ROI")
    ('the student costs $0.03 a call', 'ROI')
    """
    text = reason.removesuffix(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _format_hours(hours: float) -> str:
    return f"{hours / 24:.0f} days" if hours >= 36 else f"{max(1, round(hours))} h"


def _format_moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
