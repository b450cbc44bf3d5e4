"""Serve each call from the cache, by its student or by the teacher."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from understudies.events import owner_and_base
from understudies.redaction.redactor import Redactor
from understudies.router.budgets.call_budget import BudgetExceeded, CallBudget, NoBudget
from understudies.router.call import Call, StreamingTeacher, Teacher, TeacherAnswer, TeacherError, TeacherStream
from understudies.router.circuit_breaker import CircuitBreakers
from understudies.router.recording.invocation import InvocationBuilder, PendingInvocation
from understudies.router.routing.decision import Decision, TaskRoute, block, mark_fallback
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.audits import AuditQueue
from understudies.router.serving.call_lifecycle import CallLifecycle, CountOutcome
from understudies.router.serving.outcome import CallResult, CallStream, ServingInfo
from understudies.router.serving.outcome_recorder import OutcomeRecorder
from understudies.router.serving.response_cache import ResponseCache
from understudies.router.serving.route_selector import RouteSelector
from understudies.router.serving.student_attempt import StudentAttempt, StudentCaller
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.serving.succession import SuccessionSampler
from understudies.router.serving.teacher_agreement import Probation
from understudies.router.settings import ServingLimits
from understudies.runtime.rules.rules import Rules, TaskRulesLookup
from understudies.students.answer_validation import validation_error

_NEVER_LAST_RESORT: Final = frozenset({"critical", "not_allowed", "withheld"})
"""Reasons for which a student's answer is not served, even if there is no other answer."""


class CallService:
    """Serve calls by a routing table, which its owner replaces as events arrive."""

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
        asks_successors: bool = False,
    ) -> None:
        self.limits = limits or ServingLimits()
        self.student_registry = student_registry
        self.route_selector = route_selector or RouteSelector(student_registry)
        self.route_selector.table = table or self.route_selector.table
        self.circuit_breakers = CircuitBreakers()
        self._rules = rules or Rules()
        self._teacher = teacher
        self._redact = redact
        self._timer = timer
        self._budget = budget or NoBudget()
        self._response_cache = response_cache or ResponseCache()
        self._student_caller = StudentCaller(
            student_registry,
            flat_price_usd=self.limits.student_price_usd,
            timeout_s=self.limits.student_timeout_s,
            timer=timer,
        )
        self._probation = Probation(self._student_caller, self.limits.probation_calls)
        self._audits = AuditQueue(teacher, self._budget, record, max_concurrent=self.limits.max_concurrent_audits)
        # A queue of its own: a slow successor must not hold up audits.
        self._successions = AuditQueue(
            teacher, self._budget, record, max_concurrent=self.limits.max_concurrent_audits, within_budget=True
        )
        succession = SuccessionSampler(
            self._successions, self._rules, lambda call: self.table.route(call.task, call.at) is not None
        )
        self._outcomes = OutcomeRecorder(
            record,
            self._audits,
            self_agreement_rate=self.limits.self_agreement_rate,
            succession=succession if asks_successors else None,
        )

    @property
    def table(self) -> RoutingTable:
        """The routing table in force."""
        return self.route_selector.table

    @table.setter
    def table(self, table: RoutingTable) -> None:
        self.route_selector.table = table

    @property
    def audits_dropped(self) -> int:
        """The number of audits that were sampled but never asked, because the teacher is too slow for so many."""
        return self._audits.dropped

    @property
    def audits_in_flight(self) -> int:
        return len(self._audits)

    async def serve(self, call: Call) -> CallResult:
        """Serve a call without streaming; raises TeacherError if the teacher was needed and did not answer."""
        with self.begin(call) as lifecycle:
            return await self.answer(lifecycle)

    def begin(self, call: Call, *, received_at: float = 0.0, count: CountOutcome | None = None) -> CallLifecycle:
        """Begin the lifecycle of a call that arrived at `received_at`; call `count` with its outcome at the end."""
        builder = InvocationBuilder(call, self._redact)
        rules = self._rules.for_task(call.task)
        return CallLifecycle(builder, rules, self._budget, self._outcomes, count, received_at, self._timer)

    async def answer(self, lifecycle: CallLifecycle) -> CallResult:
        """Answer without streaming; raises TeacherError if the teacher was needed and did not answer."""
        result = await self._answer_without_teacher(lifecycle)
        if result is not None:
            return result
        try:
            answer = await self._teacher.ask(lifecycle.builder.call)
        except TeacherError as error:
            return self._last_resort(lifecycle, error)
        result = lifecycle.answer_from_teacher(answer)
        self._compare_on_probation(lifecycle, answer)
        if lifecycle.rules.cache_ttl_s is not None:
            self._response_cache.put(lifecycle.builder.call, lifecycle.rules, answer)
        return result

    async def stream(self, lifecycle: CallLifecycle) -> CallResult | CallStream:
        """Stream the teacher's answer; a student's answer is returned whole, which is how it is proven."""
        result = await self._answer_without_teacher(lifecycle)
        if result is not None:
            return result
        teacher: StreamingTeacher = self._teacher  # type: ignore[assignment] # only served over HTTP
        try:
            stream = await teacher.stream(lifecycle.builder.call)
        except TeacherError as error:
            return self._last_resort(lifecycle, error)
        return self._begin_stream(lifecycle, stream)

    async def wait_idle(self) -> None:
        """Wait until no audit, no comparison on probation and no load of a student is in flight."""
        await self.student_registry.wait_idle()
        await self._audits.wait_idle()
        await self._successions.wait_idle()
        await self._probation.wait_idle()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the audits in flight, up to a timeout; then cancel all background work and release the students."""
        await asyncio.gather(self._audits.close(timeout_s), self._successions.close(timeout_s))
        await self._probation.close()
        self.student_registry.close()

    async def _answer_without_teacher(self, lifecycle: CallLifecycle) -> CallResult | None:
        """Answer from the cache or by the student; None if the teacher is to be asked, with its cost reserved."""
        call, rules = lifecycle.builder.call, lifecycle.rules
        if rules.cache_ttl_s is not None and (known := await self._response_cache.get(call, rules)) is not None:
            return lifecycle.answer_from_cache(known)
        decision = await self.route_selector.decide(lifecycle.builder, rules, critical=self._is_critical(call))
        if not decision.is_for_student or decision.route is None:
            lifecycle.attempt = StudentAttempt(decision)
        elif self._probation.is_on_probation(decision.route.student):
            lifecycle.attempt = StudentAttempt(replace(decision, reason="control"))
        elif await self._ask_student(lifecycle, decision, decision.route):
            return lifecycle.answer_from_student()
        elif rules.escalation == "refuse" and lifecycle.attempt.decision.reason == "low_confidence":
            raise TeacherError(
                503, "the student is not confident enough, and the task's rules allow no escalation", code="unsure"
            )
        try:
            lifecycle.reserved(await self._budget.reserve(call))
        except BudgetExceeded as refused:
            if refused.student_allowed and await self._ask_student_instead(lifecycle):
                return lifecycle.answer_from_student(over_budget=True)
            raise
        return None

    async def _ask_student(self, lifecycle: CallLifecycle, decision: Decision, route: TaskRoute) -> bool:
        """Ask the student, unless its circuit breaker is open; return whether its answer may be served."""
        call, rules = lifecycle.builder.call, lifecycle.rules
        ticket = self.circuit_breakers.acquire(route.student)
        if ticket is None:
            lifecycle.attempt = StudentAttempt(block(decision, circuit_open=True))
            return False
        lifecycle.attempt = StudentAttempt(decision)
        ok: bool | None = None
        price = self.limits.student_price_usd
        try:
            lifecycle.reserved(await self._budget.reserve_student(call, price), price)
            attempt = await self._student_caller.ask(
                lifecycle.builder, decision, route, hold_back=rules.hold_back_tokens
            )
            ok = not attempt.failed
        finally:
            self.circuit_breakers.record(route.student, ticket, ok)
        lifecycle.settle(attempt.cost_usd)
        if attempt.answer is not None and attempt.decision.is_for_student:
            attempt = self._outcomes.require_confirmation(lifecycle.builder, attempt)
        lifecycle.attempt = attempt
        if attempt.decision.is_for_student and not await self.route_selector.claim_episode_step(call, rules):
            lifecycle.attempt = replace(attempt, decision=replace(attempt.decision, reason="episode_target"))
            return False
        lifecycle.attempt = attempt = self._revalidate(call, attempt)
        return attempt.answer is not None and attempt.decision.is_for_student

    async def _ask_student_instead(self, lifecycle: CallLifecycle) -> bool:
        """Ask the student instead of a teacher over budget, if only the draw or the episode chose the teacher."""
        decision, call = lifecycle.attempt.decision, lifecycle.builder.call
        if decision.route is not None and self._probation.is_on_probation(decision.route.student):
            return False
        asked = self.route_selector.student_instead(decision, call, lifecycle.rules)
        if asked is None or asked.route is None:
            return False
        return await self._ask_student(lifecycle, asked, asked.route)

    def _revalidate(self, call: Call, attempt: StudentAttempt) -> StudentAttempt:
        """Drop the student's answer if a change since it was asked no longer lets it serve."""
        if attempt.answer is None or not attempt.decision.is_for_student:
            return attempt
        decision = self._current_decision(call, attempt)
        return attempt if decision.is_for_student else replace(attempt, decision=decision, answer=None)

    def _current_decision(self, call: Call, attempt: StudentAttempt) -> Decision:
        rules, critical = self._rules.for_task(call.task), self._is_critical(call)
        return self.route_selector.revalidate(attempt.decision, call, rules, attempt.answer, critical=critical)

    def _is_critical(self, call: Call) -> bool:
        named = self.limits.critical_tasks
        # A tenant's own task is critical if the shared task of that name is.
        return bool(named) and (call.task in named or owner_and_base(call.task)[1] in named)

    def _last_resort(self, lifecycle: CallLifecycle, error: TeacherError) -> CallResult:
        """Return the student's answer of low confidence if the rules and its form allow it; else raise the error."""
        call, attempt = lifecycle.builder.call, lifecycle.attempt
        if (
            lifecycle.rules.escalation == "teacher_or_student"
            and attempt.answer is not None
            and validation_error(call.request, attempt.answer.message) is None
            and self._current_decision(call, attempt).reason not in _NEVER_LAST_RESORT
        ):
            return lifecycle.answer_from_student(teacher_error=error)
        raise error

    def _begin_stream(self, lifecycle: CallLifecycle, stream: TeacherStream) -> CallStream:
        def finished(sent: CallStream, answer: TeacherAnswer | TeacherError, interruption: TeacherError | None) -> None:
            lifecycle.end_stream(answer, sent, interruption)
            if isinstance(answer, TeacherAnswer):
                self._compare_on_probation(lifecycle, answer)
                if lifecycle.rules.cache_ttl_s is not None:
                    self._response_cache.put(
                        lifecycle.builder.call, lifecycle.rules, replace(answer, raw=stream.body())
                    )

        lifecycle.begin_stream()
        attempt = lifecycle.attempt
        decision = mark_fallback(attempt.decision, fallback=stream.fallback)
        return CallStream(stream, ServingInfo("teacher", decision, attempt.confidence, stream.teacher), finished)

    def _compare_on_probation(self, lifecycle: CallLifecycle, answer: TeacherAnswer) -> None:
        """Compare the answer that a student on probation would have given to a call in the control group."""
        decision = lifecycle.attempt.decision
        if decision.reason != "control" or decision.route is None or answer.client_disconnected or answer.fallback:
            return
        if self._probation.is_on_probation(decision.route.student):
            self._probation.compare_in_background(
                lifecycle.builder, decision.route, answer.response.message, lifecycle.rules.min_agreement
            )
