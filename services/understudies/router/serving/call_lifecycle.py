"""Take each call through its states to a single exit: settle its budget, record its event, count its metrics."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import Final, Literal, Self

from understudies.events import usd
from understudies.router.budgets.call_budget import CallBudget
from understudies.router.budgets.reservation import Reservation
from understudies.router.budgets.units import from_nanos
from understudies.router.call import ZERO_USD, TeacherAnswer, TeacherError
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.routing.decision import Decision
from understudies.router.serving.outcome import CallOutcome, CallResult, CallStream
from understudies.router.serving.outcome_recorder import OutcomeRecorder
from understudies.router.serving.response_cache import CachedResponse
from understudies.router.serving.student_attempt import StudentAttempt
from understudies.runtime.rules.task import TaskRules

State = Literal["received", "asked", "answered", "failed", "abandoned", "recorded"]
"""`received`: nobody has been asked yet. `asked`: money is reserved, and the student or teacher asked, with no await
between the two. `answered`, `failed` and `abandoned` (the client disconnected, the deadline passed, or the router is
stopping): the outcome to record is known. `recorded`: the call has been settled, recorded and counted."""

CLIENT_DISCONNECTED: Final = "hung up"
"""Message of the cancellation of a call whose client disconnected."""

DEADLINE_EXCEEDED: Final = "timed out"
"""Message of the cancellation of a call whose deadline passed."""

CountOutcome = Callable[[CallOutcome], None]


def cancellation_error(cancelled: asyncio.CancelledError, cost: Decimal = ZERO_USD) -> TeacherError:
    """Turn a cancellation into the error that the client is sent; one without a message means that the router stops."""
    if CLIENT_DISCONNECTED in cancelled.args:
        message = "the caller hung up before the teacher had answered"
        return TeacherError(499, message, code="hung_up", cost_usd=cost)
    if DEADLINE_EXCEEDED in cancelled.args:
        message = "the router's time-out passed before the teacher had answered"
        return TeacherError(504, message, code="timeout", cost_usd=cost)
    return TeacherError(503, "the router stopped before the teacher had answered", code="stopping", cost_usd=cost)


class CallLifecycle:
    """One call from its arrival to the end of its response, as a context manager.

    Leaving the context is the only exit: however the block ends, the reservation is settled once, one event is recorded
    and one outcome is counted, all from the same outcome. Two things may come earlier: a student's reservation is
    settled when the student has answered, as the teacher's is made after that, so that at most one is open; and the
    event is recorded before the end of the response is sent, so that a router that is killed has recorded every answer.
    """

    # Class-level defaults, because every call creates a lifecycle and sets few of them.
    attempt: StudentAttempt = StudentAttempt(Decision("no_student"))
    state: State = "received"
    outcome: CallOutcome | None = None
    _first_byte_s: float | None = None
    _is_open = False
    _is_recorded = False
    _reservation: Reservation | None = None
    _student_price: Decimal | None = None
    _cost = ZERO_USD
    _is_typical = False

    def __init__(
        self,
        builder: InvocationBuilder,
        rules: TaskRules,
        budget: CallBudget,
        outcomes: OutcomeRecorder,
        count: CountOutcome | None,
        received_at: float,
        timer: Callable[[], float],
    ) -> None:
        self.builder = builder
        self.rules = rules
        self._budget = budget
        self._outcomes = outcomes
        self._count = count
        self._received_at = received_at
        self._timer = timer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = self.outcome
        if outcome is None:
            outcome = self._end(error)
        elif error is not None and self._first_byte_s is None:
            outcome.interrupt(_failure_of(error))
        try:
            self.settle(self._cost)
        finally:
            self.state = "recorded"
            try:
                self.record()
                self._outcomes.follow_up(outcome)
            finally:
                if self._count is not None:
                    outcome.first_byte_s, outcome.seconds = self._first_byte_s, self._timer() - self._received_at
                    self._count(outcome)

    def record(self) -> None:
        """Record the event of the outcome, once."""
        if not self._is_recorded:
            self._is_recorded = True
            assert self.outcome is not None
            self._outcomes.record(self.outcome)

    def reserved(self, reservation: Reservation | None, student_price: Decimal | None = None) -> None:
        """Enter the state `asked` with a reservation: for a student at `student_price`, otherwise for the teacher."""
        self.state, self._is_open = "asked", True
        self._reservation, self._student_price = reservation, student_price

    def settle(self, cost: Decimal) -> None:
        """Settle the open reservation at its cost; do nothing if none is open."""
        if self._is_open:
            self._is_open = False
            self._budget.settle(self._reservation, self.builder.call, cost, update_mean=self._is_typical)

    def answer_from_cache(self, known: CachedResponse) -> CallResult:
        """Answer with the cached answer to an identical request."""
        return self._answer(self._outcomes.cached_answer(self.builder, known))

    def answer_from_student(
        self, *, teacher_error: TeacherError | None = None, over_budget: bool = False
    ) -> CallResult:
        """Answer with the student's answer; after a `teacher_error`, as the last resort."""
        if teacher_error is not None:
            self._cost = self._cost_of(teacher_error)
        return self._answer(
            self._outcomes.student_answer(self.builder, self.attempt, teacher_cost=self._cost, over_budget=over_budget)
        )

    def answer_from_teacher(self, answer: TeacherAnswer) -> CallResult:
        """Answer with the teacher's answer, at the cost of all the attempts that it took."""
        is_first_attempt = not (answer.unproductive_attempts or answer.earlier_cost_usd)
        self._is_typical = is_first_attempt and not answer.client_disconnected
        if not is_first_attempt:
            unproductive = self._budget.unproductive_cost(self.builder.call, answer.unproductive_attempts)
            cost = usd(answer.cost_usd + answer.earlier_cost_usd + unproductive)
            is_estimated = answer.estimated or answer.unproductive_attempts > 0
            answer = replace(answer, cost_usd=cost, estimated=is_estimated)
        self._cost = answer.cost_usd
        return self._answer(self._outcomes.teacher_answer(self.builder, self.attempt, answer))

    def begin_stream(self) -> None:
        """Record the time at which the teacher's stream began."""
        self._first_byte_s = self._timer() - self._received_at

    def end_stream(
        self, answer: TeacherAnswer | TeacherError, stream: CallStream, interruption: TeacherError | None
    ) -> None:
        """End with the streamed answer, and record it; an `interruption` kept the client from receiving the rest."""
        if isinstance(answer, TeacherError):
            self._fail("failed" if interruption is None else "abandoned", answer, self._cost_of(answer))
        else:
            self.answer_from_teacher(answer)
        assert self.outcome is not None
        self.outcome.stream_sent(stream, interruption)
        if interruption is not None:
            self.state = "abandoned"
        self.record()

    def fail(self, error: TeacherError) -> None:
        """End without an answer, at the cost of the teacher's failure."""
        self._fail("failed", error, self._cost_of(error))

    def _answer(self, result: CallResult) -> CallResult:
        self.state, self.outcome = "answered", result
        return result

    def _fail(self, state: State, error: TeacherError, cost: Decimal) -> CallOutcome:
        error.cost_usd = self._cost = cost
        disconnected = state == "abandoned" and error.code == "hung_up"
        self.outcome = self._outcomes.failure(self.builder, self.attempt, error, client_disconnected=disconnected)
        self.state = state
        return self.outcome

    def _end(self, error: BaseException | None) -> CallOutcome:
        """End a call whose block was left before there was an answer."""
        failure = _failure_of(error)
        if isinstance(error, TeacherError):
            return self._fail("failed", failure, self._cost_of(failure))
        if isinstance(error, asyncio.CancelledError):
            return self._fail("abandoned", failure, self._likely_cost())
        return self._fail("failed", failure, _reserved_usd(self._reservation) if self._is_open else ZERO_USD)

    def _cost_of(self, error: TeacherError) -> Decimal:
        """Return the cost of a teacher's failure: all that is reserved if it took the call but reported no usage."""
        accepted = 200 <= error.status < 300 and error.billable
        reported = self._likely_cost() if accepted and not error.cost_usd else error.cost_usd
        unproductive = self._budget.unproductive_cost(self.builder.call, error.unproductive_attempts)
        return usd(reported + error.earlier_cost_usd + unproductive)

    def _likely_cost(self) -> Decimal:
        """Return the cost of a request without an answer: all that is reserved, because its progress is unknown."""
        if not self._is_open:
            return ZERO_USD
        if self._student_price is not None:
            return self._student_price
        return _reserved_usd(self._reservation) or self._budget.estimate_cost(self.builder.call)


def _failure_of(error: BaseException | None) -> TeacherError:
    if isinstance(error, asyncio.CancelledError):
        return cancellation_error(error)
    return error if isinstance(error, TeacherError) else TeacherError(500, "the router failed", code="router_failed")


def _reserved_usd(reservation: Reservation | None) -> Decimal:
    return ZERO_USD if reservation is None else from_nanos(reservation.hold.nanos)
