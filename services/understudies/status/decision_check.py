"""Check a person's decision about a task before it is published, and tell those that are in force."""

from collections.abc import Iterator
from datetime import datetime

from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.events import STUDENT_ACTIONS, SteeringAction
from understudies.runtime.rules.task import TaskRules
from understudies.status.decision import DECISION_WORDS, DecisionInForce, DecisionRefused, DecisionRequest


def check_decision(state: TaskState, rules: TaskRules, request: DecisionRequest) -> str | None:
    """Return the student that a decision is about; raises DecisionRefused, with the remedy."""
    task, steering = state.task, state.steering
    match request.action:
        case "resume" if steering.paused is None:
            raise DecisionRefused(f"{task!r} is not paused")
        case "unpin" if steering.pin is None:
            raise DecisionRefused(f"no student of {task!r} is pinned")
        case "unmark_critical" if steering.critical is None:
            by_rules = "; the rules keep it critical: change them" if rules.critical else ""
            raise DecisionRefused(f"nobody marked {task!r} critical{by_rules}")
        case "retrain" if rules.critical or steering.critical:
            raise DecisionRefused(f"{task!r} is critical, so no student is trained for it")
        case "retrain" if state.serving is not None and state.serving.name == steering.pinned:
            raise DecisionRefused(f"{steering.pinned} is pinned, so it is not succeeded: unpin it before")
    return _find_student(state, request) if request.action in STUDENT_ACTIONS else None


def _find_student(state: TaskState, request: DecisionRequest) -> str:
    able = [student for student in state.students.values() if _can_be(student, request.action)]
    found = able[-1] if able and request.student is None else None
    if request.action == "retire" and request.student is None:
        found = state.serving or found
    for student in able:
        if student.name == request.student:
            found = student
    if found is not None:
        return found.name
    needed = {"approve": "qualified", "retire": "in service or on trial"}.get(request.action, "in service")
    known = state.students.get(request.student or "")
    if known is not None:
        raise DecisionRefused(f"{known.name} is not {needed}: it is {known.promotion.stage}")
    if request.student:
        raise DecisionRefused(f"{state.task!r} has no student {request.student!r}")
    raise DecisionRefused(f"no student of {state.task!r} is {needed}")


def _can_be(student: StudentState, action: SteeringAction) -> bool:
    if action == "approve":
        return student.promotion.stage == "qualified"
    return student.is_serving or (action == "retire" and student.is_on_trial)


def awaits_approval(state: TaskState, rules: TaskRules) -> StudentState | None:
    """Return the qualified student that serves as soon as a person approves it."""
    student = state.candidate
    if student is None or student.promotion.stage != "qualified" or rules.promotion != "manual":
        return None
    if student.restriction is not None:
        return None
    return student if state.steering.approved(student.name) is None else None


def decisions_in_force(state: TaskState, now: datetime) -> tuple[DecisionInForce, ...]:
    """Return what people decided that holds now: pause, criticality, pin, and a retraining not begun yet."""
    return tuple(_in_force(state, now))


def _in_force(state: TaskState, now: datetime) -> Iterator[DecisionInForce]:
    steering = state.steering
    for event in (steering.paused, steering.critical, steering.pin, state.pending_retraining(now)):
        if event is not None and event.steering is not None:
            decided = event.steering
            yield DecisionInForce(
                what=DECISION_WORDS[decided.action],
                by=decided.by,
                at=event.at,
                why=event.reason,
                student=decided.student,
            )
