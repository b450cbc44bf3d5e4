"""Build the outcome of each call, with its event, and sample calls for audits."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

from understudies.events import Message, Response, usd
from understudies.router.budgets.call_budget import BudgetExceeded
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.recording.invocation import InvocationBuilder, PendingInvocation
from understudies.router.routing.decision import Decision, TaskRoute, block, is_sampled, mark_fallback
from understudies.router.serving.audits import AuditQueue, SpotCheckSchedule, TightenedInspection
from understudies.router.serving.outcome import CallOutcome, CallResult, ServingInfo
from understudies.router.serving.response_cache import CachedResponse
from understudies.router.serving.student_attempt import StudentAttempt
from understudies.router.serving.succession import SuccessionSampler
from understudies.router.serving.teacher_agreement import NearCopyGuard, is_same_answer


class OutcomeRecorder:
    """Build and record outcomes; a share of the teacher's answers, `self_agreement_rate`, is audited too."""

    def __init__(
        self,
        record: Callable[[PendingInvocation], None],
        audits: AuditQueue,
        *,
        self_agreement_rate: float,
        succession: SuccessionSampler | None = None,
    ) -> None:
        self._succession = succession
        self._record = record
        self._audits = audits
        self._self_agreement_rate = self_agreement_rate
        self._spot_checks = SpotCheckSchedule()
        self._inspection = TightenedInspection()
        self._near_copies = NearCopyGuard()

    def record(self, outcome: CallOutcome) -> None:
        """Record the event of a call."""
        self._record(outcome.pending)

    def follow_up(self, outcome: CallOutcome) -> None:
        """Enqueue the audit of a call if it was sampled, or the question to a successor."""
        if outcome.enqueue_audit is not None:
            outcome.enqueue_audit()
        if self._succession is not None:
            self._succession.offer(outcome)

    def student_answer(
        self, builder: InvocationBuilder, attempt: StudentAttempt, *, teacher_cost: Decimal, over_budget: bool = False
    ) -> CallResult:
        """Return the outcome with the student's answer; `teacher_cost` is the cost of a teacher that failed before it.

        An answer that is the last resort is not audited: answers of low confidence say nothing about those that the
        student serves. An answer given because the teacher was `over_budget` is one that the student serves, and is
        audited as such.
        """
        decision, answer = attempt.decision, attempt.answer
        assert answer is not None
        assert decision.route is not None
        message, route = answer.message, decision.route
        sampling_rate = route.audit_probability if decision.is_for_student else 0.0
        probability = self._inspection.take_probability(route.student, sampling_rate)
        decision = block(decision, over_budget=over_budget)
        finish_reason = answer.finish_reason or ("tool_calls" if message.tool_calls else "stop")
        response = Response(message=message, finish_reason=finish_reason)
        audited = is_sampled(builder.call.sample, probability)
        spot_check = (
            decision.is_for_student and route.spot_checks and self._spot_checks.take_due(builder.call, route, answer)
        )
        note = builder.from_student(
            decision.to_record(
                audit_probability=probability, student_cost=attempt.cost_usd, drawn=audited, spot_check=spot_check
            ),
            response,
            student=route.student,
            confidence=attempt.confidence,
            usage=answer.usage,
            cost_usd=usd(attempt.cost_usd + teacher_cost),
            latency_ms=attempt.latency_ms,
        )
        audit = None
        if audited or spot_check:
            # A spot check is no sample of the calls: one wrong answer that is rare says little about the next ones.
            compare = partial(self._compare_audit, route, message) if audited else None
            audited_by = builder if self._succession is None else self._succession.for_audit(builder)
            audit = partial(self._audits.enqueue, audited_by, Decision("audit", route), probability, compare)
        by = ServingInfo("student", decision, attempt.confidence, upstream_ms=attempt.latency_ms)
        return CallResult(note, decision.reason, 200, by, audit, response, route.student, answer.usage)

    def _compare_audit(self, route: TaskRoute, message: Message, answer: TeacherAnswer) -> None:
        """Tighten the inspection of a student if the teacher disagrees with its answer."""
        if not answer.fallback and not is_same_answer(route.judge, answer.response.message, message):
            self._inspection.tighten(route.student)

    def require_confirmation(self, builder: InvocationBuilder, attempt: StudentAttempt) -> StudentAttempt:
        """Return the attempt, as `unconfirmed` if near copies of the call still wait for the teacher to confirm it.

        An answer remembered for an input of the head is proven by itself.
        """
        call, decision = builder.call, attempt.decision
        if decision.head or decision.route is None:
            return attempt
        if self._near_copies.admit_call(decision.route.student, builder.request, call.at.date()):
            return attempt
        return replace(attempt, decision=replace(decision, reason="unconfirmed"))

    def cached_answer(self, builder: InvocationBuilder, known: CachedResponse) -> CallResult:
        """Return the outcome with the cached answer to an identical request."""
        decision = Decision("cached")
        note = builder.from_cache(decision.to_record(), known.response, model=known.model)
        by = ServingInfo("cache", decision, teacher=known.teacher)
        return CallResult(note, decision.reason, 200, by, None, known.response, known.model, known.usage, known.raw)

    def failure(
        self,
        builder: InvocationBuilder,
        attempt: StudentAttempt,
        error: TeacherError,
        *,
        client_disconnected: bool = False,
    ) -> CallOutcome:
        """Return the outcome of a call that failed with an error."""
        over_budget = isinstance(error, BudgetExceeded)
        decision = block(attempt.decision, over_budget=over_budget)
        note = builder.from_failure(
            decision.to_record(student_cost=attempt.cost_usd),
            error,
            student=attempt.student,
            confidence=attempt.confidence,
            cost_usd=usd(error.cost_usd + attempt.cost_usd),
            latency_ms=attempt.latency_ms + error.latency_ms,
            hung_up=client_disconnected,
            usage_estimated=(client_disconnected or error.unproductive_attempts > 0) and error.cost_usd > 0,
        )
        outcome = CallOutcome(note, error.code, error.status, None, None)
        outcome.over_budget = over_budget
        return outcome

    def teacher_answer(self, builder: InvocationBuilder, attempt: StudentAttempt, answer: TeacherAnswer) -> CallResult:
        """Return the outcome with the teacher's answer, and sample whether to ask the teacher again."""
        call = builder.call
        if attempt.decision.reason == "unconfirmed" and not (answer.client_disconnected or answer.fallback):
            day = call.at.date()
            self._near_copies.record_teacher_answer(day, builder.request, attempt, answer.response.message)
        # Asking again would repeat what the provider stores or does itself.
        once = answer.client_disconnected or answer.fallback or call.stored or not builder.student_can_answer
        repeated = 0.0 if once else self._self_agreement_rate
        again = is_sampled(call.sample, repeated)
        decision = mark_fallback(attempt.decision, fallback=answer.fallback)
        latency_ms = attempt.latency_ms + answer.latency_ms
        note = builder.from_teacher(
            decision.to_record(audit_probability=repeated, student_cost=attempt.cost_usd, drawn=again),
            answer,
            student=attempt.student,
            confidence=attempt.confidence,
            cost_usd=usd(answer.cost_usd + attempt.cost_usd) if attempt.cost_usd else answer.cost_usd,
            latency_ms=latency_ms,
        )
        audit = partial(self._audits.enqueue, builder, Decision("audit"), repeated) if again else None
        by = ServingInfo("teacher", decision, attempt.confidence, answer.teacher, latency_ms)
        return CallResult(
            note,
            decision.reason,
            answer.status,
            by,
            audit,
            answer.response,
            answer.model,
            answer.usage,
            answer.raw,
            answer.headers,
        )
