"""The budget's state of one task: a fold over the four topics."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

import orjson

from understudies.budget.ledger import Ledger
from understudies.budget.student_state import StudentState
from understudies.budget.volume import MAX_HOURS, CallVolume
from understudies.economics.forecast import WEEK
from understudies.economics.profile import TaskProfile
from understudies.events import (
    NOT_STEERED,
    Drift,
    Event,
    GateDecision,
    Invocation,
    Promotion,
    TaskSteering,
    Verdict,
    template_of,
    usd,
)
from understudies.persistence.fields import AsArray, OrderedKeys
from understudies.persistence.saved_state import Key, SavedState

_MAX_INPUTS: Final = 20_000
"""Inputs of a task that are told apart one by one, in 2 MB."""
_MAX_SELF_COMPARED: Final = 20_000


class TaskState(SavedState):
    """Volume, ledger, profile, examples and students of one task."""

    task: str
    ledger: Ledger
    volume: CallVolume
    imported_volume: Annotated[CallVolume, Key(default=CallVolume)]
    profile: TaskProfile
    students: Annotated[dict[str, StudentState], AsArray(("story", "student"))]
    self_agreed: int
    self_compared: Annotated[int, Key("self_asked")]
    valid_since: Annotated[datetime | None, Key("fresh_since")]
    steering: Annotated[TaskSteering, Key(default=TaskSteering)]
    _inputs: OrderedKeys
    _input_level: Annotated[int, Key("input_level", default=int)]
    """Of the inputs, those are kept whose key ends in as many zero bits."""
    _self_compared_inputs: Annotated[OrderedKeys, Key("inputs_asked_again")]

    def __init__(self, task: str, student_cost: Decimal = Decimal(0)) -> None:
        self.task = task
        self.student_cost = student_cost
        self.ledger = Ledger()
        self.volume = CallVolume()
        self.imported_volume = CallVolume()
        self.profile = TaskProfile()
        self.students = {}
        self.self_agreed = 0
        self.self_compared = 0
        self.valid_since = None
        self.steering = NOT_STEERED
        self._inputs = {}
        self._input_level = 0
        self._self_compared_inputs = {}

    def _on_restored(self) -> None:
        self.student_cost = Decimal(0)

    def fold(self, event: Event) -> None:
        """Apply one event of this task; a promotion that is repeated changes nothing."""
        if isinstance(event, Invocation):
            self._apply_invocation(event)
        elif isinstance(event, Verdict):
            self._apply_verdict(event)
        elif isinstance(event, GateDecision):
            self._update_student(event.student, lambda student: student.apply_decision(event))
        elif isinstance(event, Promotion) and event.steering is not None:
            self.steering = self.steering.apply(event)
        elif isinstance(event, Promotion):
            self._apply_promotion(event)
        elif isinstance(event, Drift) and event.tier == "contract" and event.drifted:
            self._update_student(event.student, lambda student: setattr(student, "drift", event))
        elif isinstance(event, Drift) and event.cause != "agreement":
            self._update_student(event.student, lambda student: student.restrict_share(event))

    def _update_student(self, student: str, act: Callable[[StudentState], None]) -> None:
        state = self.students.get(student)
        if state is not None:
            act(state)

    def _apply_invocation(self, call: Invocation) -> None:
        self.ledger.record(call)
        if call.student is not None and call.origin == "live":
            self._update_student(call.student, lambda student: student.record_cost(call))
        if call.origin == "imported":
            self.imported_volume.record(call.at)
        elif call.origin not in ("audit", "synthetic", "succession") and call.served_by != "cache":
            self.volume.record(call.at)
        if call.answered_by_teacher and call.response is not None and not self._is_outdated(call):
            self._count_input(call.fingerprint)
            answer = call.response.message.text
            self.profile.update(
                template_of(call.request), answer, call.fingerprint, valid_json=_is_json(answer), at=call.at
            )

    def _count_input(self, fingerprint: str) -> None:
        """Count an input once: exactly up to `_MAX_INPUTS`, then by a sample of half, a quarter and so on.

        Flajolet (1990), "On adaptive sampling", Computing 43(4): the count is then right within one in a hundred.
        """
        key = _input_key(fingerprint)
        if key & ((1 << self._input_level) - 1):
            return
        self._inputs[key] = None
        while len(self._inputs) > _MAX_INPUTS:
            self._input_level += 1
            mask = (1 << self._input_level) - 1
            self._inputs = {key: None for key in self._inputs if not key & mask}

    def _is_outdated(self, call: Invocation) -> bool:
        """Return whether a call was imported from before the last drift, since when the teacher answers otherwise."""
        return call.origin == "imported" and self.valid_since is not None and call.at <= self.valid_since

    def _apply_verdict(self, verdict: Verdict) -> None:
        if verdict.phase == "self_agreement":
            self._apply_self_agreement(verdict)
        else:
            self._update_student(verdict.student, lambda state: state.record_verdict(verdict))
        if verdict.phase in ("validation", "shadow", "succession"):
            student = self.students.get(verdict.student)
            validated_cost = student.validated_cost if student else None
            cost = self.student_cost if validated_cost is None else validated_cost
            self.ledger.record_comparison(cost + verdict.judge_cost_usd)
        else:
            self.ledger.record_comparison(verdict.judge_cost_usd)

    def _apply_self_agreement(self, verdict: Verdict) -> None:
        """Count a repeated answer to an input that the teacher had answered before, once for each input.

        An input counts again after `_MAX_SELF_COMPARED` others: their share that agree is known well by then.
        """
        key = _input_key(verdict.fingerprint)
        if key not in self._self_compared_inputs:
            self._self_compared_inputs[key] = None
            if len(self._self_compared_inputs) > _MAX_SELF_COMPARED:
                del self._self_compared_inputs[next(iter(self._self_compared_inputs))]
            self.self_compared += 1
            self.self_agreed += verdict.agreed

    def _apply_promotion(self, promotion: Promotion) -> None:
        student = self.students.get(promotion.student)
        is_demoted = student is not None and student.promotion.stage == "demoted"
        if student is None:
            student = self.students[promotion.student] = StudentState(promotion)
        if promotion.id in student.seen:
            return
        student.seen.append(promotion.id)
        if promotion.stage in ("trained", "rejected"):
            self.ledger.training += usd(Decimal(str(promotion.evidence.get("cost_usd", "0"))))
        if student.is_contradicted_by(promotion):
            student.contradicted_at = max(student.contradicted_at or promotion.at, promotion.at)
            return
        if promotion.stage == "authorised" and student.promotion.stage != "authorised":
            # Authorised twice, by a former owner too: what was made of it stays.
            return
        if promotion.stage in ("collected", "trained") and student.promotion.artifact is not None:
            # Collected or trained twice, as after a crash in between: what is being judged is the first artifact.
            return
        student.apply_promotion(promotion)
        if promotion.stage == "demoted" and not is_demoted:
            self.valid_since = promotion.at
            self._inputs.clear()
            self._input_level = 0

    def hourly_counts(self, now: datetime) -> list[int]:
        """Return the calls in each complete hour, after those of an imported log until a week of them is counted.

        The hours of the log count as if they had been the last ones before the first call.
        """
        counted = self.volume.hourly_counts(now)
        return counted if len(counted) >= WEEK else [*self.imported_volume.all_counts(), *counted][-MAX_HOURS:]

    @property
    def examples(self) -> int:
        """The number of distinct inputs with a teacher's answer since the last drift."""
        return len(self._inputs) << self._input_level

    def pending_retraining(self, now: datetime) -> Promotion | None:
        """Return the request for a new student, if none was authorised since."""
        asked = self.steering.retraining
        if asked is None or asked.at > now:
            return None
        begun = [student.authorised_at or student.promotion.at for student in self.students.values()]
        return None if begun and max(begun) >= asked.at else asked

    @property
    def serving(self) -> StudentState | None:
        return next((student for student in self.students.values() if student.is_serving), None)

    @property
    def candidate(self) -> StudentState | None:
        return next((student for student in reversed(self.students.values()) if student.is_on_trial), None)

    @property
    def latest_student(self) -> StudentState | None:
        return next(reversed(self.students.values()), None)

    @property
    def next_student_name(self) -> str:
        """A name that no student of the task has had before."""
        return f"{self.task}@{max((student.version for student in self.students.values()), default=0) + 1}"


def _input_key(fingerprint: str) -> int:
    """Return enough of a fingerprint to distinguish a task's inputs in little memory."""
    return int(fingerprint[:15], 16)


def _is_json(answer: str) -> bool:
    if not answer.lstrip().startswith(("{", "[")):
        return False
    try:
        orjson.loads(answer)
    except orjson.JSONDecodeError:
        return False
    return True
