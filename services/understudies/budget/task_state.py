"""What the budget knows of one task: a fold over the four topics."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from understudies.budget.ledger import Ledger
from understudies.budget.student_state import StudentState
from understudies.budget.volume import CallVolume
from understudies.economics.profile import TaskProfile
from understudies.events import Drift, Event, GateDecision, Invocation, Promotion, Verdict, template_of, usd


class TaskState:
    """Volume, ledger, profile, examples and students of one task."""

    def __init__(self, task: str, student_cost: Decimal = Decimal(0)) -> None:
        self.task = task
        self._student_cost = student_cost
        self.ledger = Ledger()
        self.volume = CallVolume()
        self.profile = TaskProfile()
        self.students: dict[str, StudentState] = {}
        self.self_agreed = 0
        self.self_compared = 0
        self.valid_since: datetime | None = None
        self.reduced_since: datetime | None = None
        # In the order in which they came: to sort many for each snapshot takes too long.
        self._inputs: dict[int, None] = {}
        self._self_compared_inputs: set[int] = set()

    def fold(self, event: Event) -> None:
        """Take in one event of this task; the same promotion twice changes nothing."""
        if isinstance(event, Invocation):
            self._apply_invocation(event)
        elif isinstance(event, Verdict):
            self._apply_verdict(event)
        elif isinstance(event, GateDecision):
            self._update_student(event.student, lambda book: setattr(book, "decision", event))
        elif isinstance(event, Promotion):
            self._apply_promotion(event)
        elif isinstance(event, Drift) and event.tier == "contract" and event.drifted:
            self._update_student(event.student, lambda book: setattr(book, "drift", event))
        elif isinstance(event, Drift) and event.cause != "agreement":
            self._update_student(event.student, lambda book: book.hold_share(event))

    def _update_student(self, student: str, act: Callable[[StudentState], None]) -> None:
        book = self.students.get(student)
        if book is not None:
            act(book)

    def _apply_invocation(self, call: Invocation) -> None:
        self.ledger.record(call)
        if call.student is not None and call.origin == "live":
            self._update_student(call.student, lambda book: book.record_cost(call))
        if call.origin not in ("audit", "synthetic") and call.served_by != "cache":
            self.volume.record(call.at)
        if call.answered_by_teacher and call.response is not None:
            self._inputs[_input_key(call.fingerprint)] = None
            answer = call.response.message.text
            self.profile.update(
                template_of(call.request), answer, call.fingerprint, valid_json=_is_json(answer), at=call.at
            )

    def _apply_verdict(self, verdict: Verdict) -> None:
        if verdict.phase == "self_agreement":
            self._apply_self_agreement(verdict)
        else:
            self._update_student(verdict.student, lambda book: book.record_verdict(verdict))
        if verdict.phase in ("validation", "shadow"):
            student = self.students.get(verdict.student)
            own = student.validated_cost if student else None
            self.ledger.record_comparison(self._student_cost if own is None else own)

    def _apply_self_agreement(self, verdict: Verdict) -> None:
        """Count one answer to an input that the teacher had answered before, once for each input."""
        key = _input_key(verdict.fingerprint)
        if key not in self._self_compared_inputs:
            self._self_compared_inputs.add(key)
            self.self_compared += 1
            self.self_agreed += verdict.agreed

    def _apply_promotion(self, promotion: Promotion) -> None:
        book = self.students.get(promotion.student)
        if book is None:
            book = self.students[promotion.student] = StudentState(promotion)
        if promotion.id in book.seen:
            return
        book.seen.append(promotion.id)
        book.apply_promotion(promotion)
        if promotion.stage in ("trained", "rejected"):
            self.ledger.training += usd(Decimal(str(promotion.evidence.get("cost_usd", "0"))))
        if promotion.stage == "promoted":
            self.reduced_since = None if promotion.share >= 1 else self.reduced_since or promotion.at
        if promotion.stage == "demoted":
            self.reduced_since = None
            self.valid_since = promotion.at
            self._inputs.clear()

    @property
    def examples(self) -> int:
        """Distinct inputs with a teacher's answer, since the last drift."""
        return len(self._inputs)

    @property
    def serving(self) -> StudentState | None:
        return next((book for book in self.students.values() if book.is_serving), None)

    @property
    def candidate(self) -> StudentState | None:
        return next((book for book in reversed(self.students.values()) if book.is_on_trial), None)

    @property
    def latest_student(self) -> StudentState | None:
        return next(reversed(self.students.values()), None)

    @property
    def next_student_name(self) -> str:
        """A name that no student of the task ever had."""
        return f"{self.task}@{max((book.version for book in self.students.values()), default=0) + 1}"

    def state(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "ledger": self.ledger.state(),
            "volume": self.volume.state(),
            "profile": self.profile.state(),
            "students": [book.state() for book in self.students.values()],
            "self_agreed": self.self_agreed,
            "self_asked": self.self_compared,
            "fresh_since": self.valid_since and self.valid_since.isoformat(),
            "reduced_since": self.reduced_since and self.reduced_since.isoformat(),
            "inputs": list(self._inputs),
            "inputs_asked_again": sorted(self._self_compared_inputs),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], student_cost: Decimal = Decimal(0)) -> "TaskState":
        book = cls(state["task"], student_cost)
        book.ledger = Ledger.from_state(state["ledger"])
        book.volume = CallVolume.from_state(state["volume"])
        book.profile = TaskProfile.from_state(state["profile"])
        students = [StudentState.from_state(saved) for saved in state["students"]]
        book.students = {student.name: student for student in students}
        book.self_agreed, book.self_compared = state["self_agreed"], state["self_asked"]
        book.valid_since = state["fresh_since"] and datetime.fromisoformat(state["fresh_since"])
        book.reduced_since = state["reduced_since"] and datetime.fromisoformat(state["reduced_since"])
        book._inputs = dict.fromkeys(state["inputs"])
        book._self_compared_inputs = set(state["inputs_asked_again"])
        return book


def _input_key(fingerprint: str) -> int:
    """Enough of a fingerprint to tell a task's inputs apart, in little memory."""
    return int(fingerprint[:15], 16)


def _is_json(answer: str) -> bool:
    if not answer.lstrip().startswith(("{", "[")):
        return False
    try:
        orjson.loads(answer)
    except orjson.JSONDecodeError:
        return False
    return True
