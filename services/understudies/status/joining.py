"""Join what single services know of the tasks."""

from collections.abc import Sequence
from datetime import datetime

from understudies.status.judge_failures import find_judge_failure
from understudies.status.parts import (
    BudgetPart,
    EvaluatorPart,
    ObserverPart,
    RouterPart,
    StatusPart,
    TrainerPart,
    TrialStanding,
)
from understudies.status.standing import CallCounts, Overview, StoryEvent, TaskStanding
from understudies.status.waiting import describe_trial, describe_unloaded


def join_parts(parts: Sequence[StatusPart], source: str, now: datetime) -> Overview:
    """Return the standing of all tasks, of which each is known to one of the budget services."""
    standings = {task.task: task for part in parts if isinstance(part, BudgetPart) for task in part.tasks}
    trials = {name: trial for part in parts if isinstance(part, EvaluatorPart) for name, trial in part.trials.items()}
    failures = {name: why for part in parts if isinstance(part, RouterPart) for name, why in part.not_loaded.items()}
    training = {
        name: how_far for part in parts if isinstance(part, TrainerPart) for name, how_far in part.training.items()
    }
    judges = {
        name: why
        for part in parts
        if isinstance(part, EvaluatorPart | TrainerPart)
        for name, why in part.judge_failures.items()
    }
    joined = []
    for name in sorted(standings):
        standing = standings[name]
        standing = _with_trial(standing, trials.get(standing.student or ""))
        standing = _with_training(standing, training.get(standing.student or ""))
        standing = _with_failure(standing, failures.get(standing.student or ""))
        if (why := find_judge_failure(standing.judge, judges)) is not None:
            standing = standing.model_copy(update={"judge_failure": why})
        for part in parts:
            if isinstance(part, ObserverPart):
                standing = _with_stored(standing, part)
        joined.append(standing)
    return Overview(at=now, source=source, tasks=tuple(joined))


def join_story(parts: Sequence[StatusPart]) -> tuple[StoryEvent, ...]:
    """Return the events of the task that was asked for."""
    return next((part.events for part in parts if isinstance(part, ObserverPart)), ())


def _with_trial(standing: TaskStanding, trial: TrialStanding | None) -> TaskStanding:
    if trial is None:
        return standing
    changes: dict[str, object] = {
        "promised": trial.promised,
        "agreement": standing.agreement or trial.agreement,
        "trial": trial.progress,
        "next_look": trial.next_look,
    }
    if standing.phase == "trial" and not standing.waits_for.startswith("the approval of"):
        student, stage = standing.student or "", standing.stage or ""
        changes["waits_for"] = describe_trial(student, stage, trial.progress, trial.next_look)
    return standing.model_copy(update=changes)


def _with_training(standing: TaskStanding, how_far: str | None) -> TaskStanding:
    if how_far is None or standing.phase != "trial" or standing.stage != "collected":
        return standing
    student = standing.student or ""
    return standing.model_copy(update={"waits_for": describe_trial(student, standing.stage, None, None, how_far)})


def _with_failure(standing: TaskStanding, why: str | None) -> TaskStanding:
    if why is None or standing.stage != "promoted":
        return standing
    waits_for = describe_unloaded(standing.student or "", why) if standing.phase == "serving" else standing.waits_for
    return standing.model_copy(update={"not_loaded": why, "waits_for": waits_for})


def _with_stored(standing: TaskStanding, part: ObserverPart) -> TaskStanding:
    task, price = standing.task, standing.teacher_price
    source = part.price_sources.get(task)
    known = None if price is None or source is None else price.model_copy(update={"source": source})
    return standing.model_copy(
        update={
            "today": part.today.get(task, CallCounts()),
            "teacher_price": known or price,
            "last_decision": part.last_decisions.get(task),
        }
    )
