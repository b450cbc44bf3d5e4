"""Serve one call, by the student or the teacher."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final, TypeVar

from understudies.events import owner_and_base, usd
from understudies.redaction.redactor import Redactor
from understudies.router.budgets.call_budget import BudgetExceeded, CallBudget
from understudies.router.budgets.reservation import Reservation
from understudies.router.budgets.units import from_nanos
from understudies.router.call import ZERO_USD, Call, StreamingTeacher, Teacher, TeacherAnswer, TeacherError
from understudies.router.circuit_breaker import CircuitBreakers
from understudies.router.recording.invocation import InvocationBuilder, PendingInvocation
from understudies.router.routing.decision import Decision, block, mark_fallback
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.audits import AuditQueue
from understudies.router.serving.outcome_recorder import OutcomeRecorder
from understudies.router.serving.response_cache import ResponseCache
from understudies.router.serving.results import CallResult, CallStream, ServingInfo
from understudies.router.serving.route_selector import RouteSelector
from understudies.router.serving.student_attempt import Escalation, StudentAttempt, StudentCaller
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.serving.teacher_agreement import Probation
from understudies.router.settings import ServingLimits
from understudies.runtime.rules.rules import Rules, TaskRulesLookup
from understudies.runtime.rules.task import TaskRules

T = TypeVar("T")

_NEVER_LAST_RESORT: Final = frozenset({"critical", "not_allowed", "withheld"})
"""Why a student's answer is not given, even where nobody else has one."""


class CallService:
    """Serves calls against one routing table, which its owner replaces as events come."""

    def __init__(
        self,
        *,
        teacher: Teacher,
        student_registry: StudentRegistry,
        record: Callable[[PendingInvocation], None],
        table: RoutingTable | None = None,
        limits: ServingLimits | None = None,
        rules: TaskRulesLookup | None = None,
        redact: Redactor | None = None,
        route_selector: RouteSelector | None = None,
        budget: CallBudget | None = None,
        response_cache: ResponseCache | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.limits = limits or ServingLimits()
        self.student_registry = student_registry
        self.route_selector = route_selector or RouteSelector(student_registry)
        self.route_selector.table = table or self.route_selector.table
        self.circuit_breakers = CircuitBreakers()
        self._rules = rules or Rules()
        self._teacher = teacher
        self._redact = redact
        self._budget = budget or CallBudget()
        self._response_cache = response_cache or ResponseCache()
        self._student_caller = StudentCaller(
            student_registry,
            flat_price_usd=self.limits.student_price_usd,
            timeout_s=self.limits.student_timeout_s,
            timer=timer,
        )
        self._probation = Probation(self._student_caller, self.limits.probation_calls)
        self._audits = AuditQueue(teacher, self._budget, record, max_concurrent=self.limits.max_concurrent_audits)
        self._outcomes = OutcomeRecorder(record, self._audits, self_agreement_rate=self.limits.self_agreement_rate)

    @property
    def table(self) -> RoutingTable:
        """The routing table in force."""
        return self.route_selector.table

    @table.setter
    def table(self, table: RoutingTable) -> None:
        self.route_selector.table = table

    @property
    def audits_dropped(self) -> int:
        """How many were drawn and never asked: the teacher is too slow for so many at once."""
        return self._audits.dropped

    @property
    def audits_in_flight(self) -> int:
        return len(self._audits)

    async def serve(self, call: Call) -> CallResult:
        """Answer a call whole; raises TeacherError where the teacher was needed and did not answer."""
        done = await self._serve_without_teacher(call)
        return done if isinstance(done, CallResult) else await self._ask_teacher(done)

    async def stream(self, call: Call) -> CallResult | CallStream:
        """Answer a call in pieces where the teacher answers it; what a student answers comes whole, as it is proven."""
        done = await self._serve_without_teacher(call)
        if isinstance(done, CallResult):
            return done
        return await self._stream_teacher(done, self._teacher)  # type: ignore[arg-type] # only served over HTTP

    async def wait_idle(self) -> None:
        """Return when no audit and no load of a student is in flight."""
        await self.student_registry.wait_idle()
        await self._audits.wait_idle()
        await self._probation.wait_idle()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the audits in flight, within a time-out, and give up those that are not done."""
        await self._audits.close(timeout_s)
        await self._probation.close()
        self.student_registry.close()

    async def _serve_without_teacher(self, call: Call) -> CallResult | Escalation:
        """From the cache or by the student; else what is known when the teacher is asked."""
        rules = self._rules.for_task(call.task)
        account = InvocationBuilder(call, self._redact)
        try:
            known = await self._response_cache.get(call, rules)
            if known is not None:
                return self._outcomes.record_cached_answer(account, known)
            decision = await self.route_selector.decide(account, rules, critical=self._is_critical(call))
        except asyncio.CancelledError as cancelled:
            self._outcomes.record_cancellation(
                Escalation(account, StudentAttempt(Decision("no_student")), rules), cancelled
            )
            raise
        if not decision.is_for_student or decision.route is None:
            return Escalation(account, StudentAttempt(decision), rules)
        if self._probation.is_on_probation(decision.route.student):
            return Escalation(account, StudentAttempt(replace(decision, reason="control")), rules)
        attempt = await self._ask_student(account, decision, rules)
        if attempt.answer is not None and attempt.decision.is_for_student:
            return self._outcomes.record_student_answer(account, attempt)
        case = Escalation(account, attempt, rules)
        if rules.escalation == "refuse" and attempt.decision.reason == "low_confidence":
            refused = TeacherError(503, "the student is not sure, and the task's rules ask nobody else", code="unsure")
            self._outcomes.record_failure(case, refused)
            raise refused
        return case

    async def _ask_student(self, account: InvocationBuilder, decision: Decision, rules: TaskRules) -> StudentAttempt:
        """The student, asked within the budget, unless it has failed too often lately."""
        assert decision.route is not None
        call, student = account.call, decision.route.student
        ticket = self.circuit_breakers.acquire(student)
        if ticket is None:
            return StudentAttempt(block(decision, circuit_open=True))
        ok: bool | None = None
        grant: Reservation | None = None
        likely = usd(0)
        try:
            grant = await self._budget.reserve_student(call, self.limits.student_price_usd)
            likely = self.limits.student_price_usd
            attempt = await self._student_caller.ask(
                account, decision, decision.route, hold_back=rules.hold_back_tokens
            )
            ok = not attempt.failed
            self._budget.settle(grant, call, attempt.cost_usd)
        except BudgetExceeded as refused:
            self._outcomes.record_budget_refusal(Escalation(account, StudentAttempt(decision), rules), refused)
            raise
        except asyncio.CancelledError as cancelled:
            self._budget.settle(grant, call, likely)
            self._outcomes.record_cancellation(Escalation(account, StudentAttempt(decision), rules), cancelled, likely)
            raise
        finally:
            self.circuit_breakers.record(student, ticket, ok)
        if attempt.answer is not None and attempt.decision.is_for_student:
            attempt = self._outcomes.require_confirmation(account, attempt)
        try:
            if attempt.decision.is_for_student and not await self.route_selector.claim_episode_step(call, rules):
                return replace(attempt, decision=replace(attempt.decision, reason="episode_target"))
        except asyncio.CancelledError as cancelled:
            self._outcomes.record_cancellation(Escalation(account, attempt, rules), cancelled)
            raise
        return self._revalidate(call, attempt)

    def _revalidate(self, call: Call, attempt: StudentAttempt) -> StudentAttempt:
        """What a student has answered, unless something came up since it was asked that keeps it from serving."""
        if attempt.answer is None or not attempt.decision.is_for_student:
            return attempt
        decision = self._current_decision(call, attempt)
        return attempt if decision.is_for_student else replace(attempt, decision=decision, answer=None)

    def _current_decision(self, call: Call, attempt: StudentAttempt) -> Decision:
        rules, critical = self._rules.for_task(call.task), self._is_critical(call)
        return self.route_selector.revalidate(attempt.decision, call, rules, attempt.answer, critical=critical)

    def _is_critical(self, call: Call) -> bool:
        named = self.limits.critical_tasks
        # A tenant's own task is critical where the task of that name is.
        return bool(named) and (call.task in named or owner_and_base(call.task)[1] in named)

    async def _ask_teacher(self, case: Escalation) -> CallResult:
        call = case.builder.call
        grant = await self._reserve_teacher(case)
        if isinstance(grant, CallResult):
            return grant
        answer = await self._await_teacher(case, grant, self._teacher.ask(call))
        if isinstance(answer, CallResult):
            return answer
        answer = self._with_full_cost(call, grant, answer)
        note = self._outcomes.record_teacher_answer(case, answer)
        self._compare_on_probation(case, answer)
        self._response_cache.put(call, case.rules, answer)
        attempt = case.attempt
        waited_ms = attempt.latency_ms + answer.latency_ms
        decision = mark_fallback(attempt.decision, fallback=answer.fallback)
        by = ServingInfo("teacher", decision, attempt.confidence, answer.teacher, waited_ms)
        return CallResult(
            answer.response, by, note, answer.model, answer.usage, answer.raw, answer.headers, answer.status
        )

    async def _stream_teacher(self, case: Escalation, teacher: StreamingTeacher) -> CallResult | CallStream:
        call = case.builder.call
        grant = await self._reserve_teacher(case)
        if isinstance(grant, CallResult):
            return grant
        stream = await self._await_teacher(case, grant, teacher.stream(call))
        if isinstance(stream, CallResult):
            return stream

        def finished(answer: TeacherAnswer | TeacherError) -> None:
            if isinstance(answer, TeacherError):
                answer.cost_usd = self._failure_cost(call, grant, answer)
                self._budget.settle(grant, call, answer.cost_usd)
                self._outcomes.record_failure(case, answer)
                return
            answer = self._with_full_cost(call, grant, answer)
            self._outcomes.record_teacher_answer(case, answer)
            self._compare_on_probation(case, answer)
            if case.rules.cache_ttl_s is not None:
                self._response_cache.put(call, case.rules, replace(answer, raw=stream.body()))

        decision = mark_fallback(case.attempt.decision, fallback=stream.fallback)
        by = ServingInfo("teacher", decision, case.attempt.confidence, stream.teacher)
        return CallStream(stream, by, finished)

    async def _await_teacher(self, case: Escalation, grant: Reservation | None, asked: Awaitable[T]) -> T | CallResult:
        """What the teacher gives, or the student's answer as a last resort; failures are recorded and raised."""
        call = case.builder.call
        try:
            return await asked
        except TeacherError as error:
            error.cost_usd = self._failure_cost(call, grant, error)
            self._budget.settle(grant, call, error.cost_usd)
            if (
                case.allows_student_answer
                and self._current_decision(call, case.attempt).reason not in _NEVER_LAST_RESORT
            ):
                return self._outcomes.record_student_answer(case.builder, case.attempt, teacher_cost=error.cost_usd)
            self._outcomes.record_failure(case, error)
            raise
        except asyncio.CancelledError as cancelled:
            # What the teacher had done by then is not known: the whole estimate counts as spent.
            likely = _reserved_usd(grant) or self._budget.estimate_cost(call)
            self._budget.settle(grant, call, likely)
            self._outcomes.record_cancellation(case, cancelled, likely)
            raise
        except Exception:
            failed = TeacherError(500, "the router failed", code="router_failed", cost_usd=_reserved_usd(grant))
            self._budget.settle(grant, call, failed.cost_usd)
            self._outcomes.record_failure(case, failed)
            raise

    def _compare_on_probation(self, case: Escalation, answer: TeacherAnswer) -> None:
        """Compare what a student new here would have said to a call of the control group."""
        decision = case.attempt.decision
        if decision.reason != "control" or decision.route is None or answer.client_disconnected or answer.fallback:
            return
        if self._probation.is_on_probation(decision.route.student):
            self._probation.compare_in_background(
                case.builder, decision.route, answer.response.message, case.rules.min_agreement
            )

    def _with_full_cost(self, call: Call, grant: Reservation | None, answer: TeacherAnswer) -> TeacherAnswer:
        """The answer with all that it cost, which is settled."""
        whole = not (answer.unproductive_attempts or answer.client_disconnected)
        if answer.unproductive_attempts:
            cost = answer.cost_usd + self._budget.unproductive_cost(call, answer.unproductive_attempts)
            answer = replace(answer, cost_usd=usd(cost), estimated=True)
        self._budget.settle(grant, call, answer.cost_usd, update_mean=whole)
        return answer

    def _failure_cost(self, call: Call, grant: Reservation | None, error: TeacherError) -> Decimal:
        """What a teacher's failure cost; what was set aside where it took the call, but did not say what it used."""
        accepted = 200 <= error.status < 300
        told = (
            (_reserved_usd(grant) or self._budget.estimate_cost(call))
            if accepted and not error.cost_usd
            else error.cost_usd
        )
        return usd(told + self._budget.unproductive_cost(call, error.unproductive_attempts))

    async def _reserve_teacher(self, case: Escalation) -> Reservation | CallResult | None:
        """Room in the budget for the teacher's call, or what a student answers instead.

        Raises BudgetExceeded, which is recorded.
        """
        try:
            return await self._budget.reserve(case.builder.call)
        except BudgetExceeded as refused:
            return await self._student_within_budget(case, refused)
        except asyncio.CancelledError as cancelled:
            self._outcomes.record_cancellation(case, cancelled)
            raise

    async def _student_within_budget(self, case: Escalation, refused: BudgetExceeded) -> CallResult:
        """The answer of a student that a draw or its episode alone kept from the call; raises what else was refused."""
        account, rules = case.builder, case.rules
        decision = case.attempt.decision
        tried_out = decision.route is None or not self._probation.is_on_probation(decision.route.student)
        may = refused.student_allowed and tried_out
        asked = self.route_selector.student_instead(decision, account.call, rules) if may else None
        attempt = case.attempt if asked is None else await self._ask_student(account, asked, rules)
        if attempt.answer is not None and attempt.decision.is_for_student:
            return self._outcomes.record_student_answer(account, attempt, over_budget=True)
        self._outcomes.record_budget_refusal(replace(case, attempt=attempt), refused)
        raise refused


def _reserved_usd(grant: Reservation | None) -> Decimal:
    return ZERO_USD if grant is None else from_nanos(grant.hold.nanos)
