"""The desk: serves one call, by the student or the teacher, and records what happened."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from understudies.client.redaction import Redactor
from understudies.events import Invocation, Response, usd
from understudies.router.account import Account
from understudies.router.call import Call, Served, Teacher, TeacherError
from understudies.router.conformity import complaint, within_reach
from understudies.router.decision import Decision, TaskRoute, decide, drawn, settle
from understudies.router.roster import Roster
from understudies.router.table import RoutingTable
from understudies.students.base import Answer, StudentError

_AUDITS_AT_ONCE: Final = 8
"""Nobody waits for an audit: a teacher that is slow must not get them all at the same time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for every call."""

    critical_tasks: frozenset[str] = frozenset()
    student_timeout_s: float = 2.0
    student_price_usd: Decimal = Decimal("0.0002")
    self_agreement_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What became of asking the student: `decision` is settled, and `cost` is what asking cost."""

    decision: Decision
    answer: Answer | None = None
    cost: Decimal = field(default_factory=lambda: usd(0))
    latency_ms: float = 0.0

    @property
    def student(self) -> str | None:
        asked = self.decision.reason in ("promoted", "low_confidence", "student_error")
        return self.decision.route.student if asked and self.decision.route else None

    @property
    def confidence(self) -> float | None:
        return float(self.answer.confidence) if self.answer else None


class Desk:
    """Serves calls against one routing table, which its owner replaces as events come."""

    def __init__(
        self,
        *,
        teacher: Teacher,
        roster: Roster,
        record: Callable[[Invocation], None],
        table: RoutingTable | None = None,
        policy: Policy | None = None,
        redact: Redactor | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.table = table or RoutingTable()
        self.roster = roster
        self.policy = policy or Policy()
        self._teacher = teacher
        self._record = record
        self._redact = redact
        self._timer = timer
        self._audits: set[asyncio.Task[None]] = set()
        self._auditing = asyncio.Semaphore(_AUDITS_AT_ONCE)

    async def serve(self, call: Call) -> Served:
        """Answer a call; raises TeacherError where the teacher was needed and did not answer."""
        account = self._account(call)
        decision = decide(
            self.table.route(call.task, call.at),
            task=call.task,
            sticky_key=call.episode or account.fingerprint,
            critical=call.critical or call.task in self.policy.critical_tasks,
            over_budget=call.over_budget,
            student_able=account.recordable and within_reach(call.request),
        )
        if not decision.by_student or decision.route is None:
            return await self._serve_teacher(account, _Attempt(decision))
        attempt = await self._ask_student(account, decision, decision.route)
        if attempt.answer is not None and attempt.decision.by_student:
            return self._serve_student(account, attempt, attempt.answer, decision.route)
        return await self._serve_teacher(account, attempt)

    async def idle(self) -> None:
        """Return when no audit and no load of a student is in flight."""
        await self.roster.idle()
        while self._audits:
            await asyncio.gather(*self._audits, return_exceptions=True)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the audits in flight, within a time-out, and give up those that are not done."""
        if self._audits:
            _, late = await asyncio.wait(self._audits, timeout=timeout_s)
            for task in late:
                task.cancel()
            if late:
                _log.warning("%d audits are given up: their teacher has not answered", len(late))
            await asyncio.gather(*late, return_exceptions=True)
        self.roster.close()

    @property
    def audits_in_flight(self) -> int:
        return len(self._audits)

    async def _ask_student(self, account: Account, decision: Decision, route: TaskRoute) -> _Attempt:
        """Ask the student as it was trained and judged, redacted; its answer has to suit what was asked."""
        call = account.call
        began = self._timer()
        cost = usd(0)
        try:
            async with asyncio.timeout(self.policy.student_timeout_s):
                student = await self.roster.student(route.artifact, call.at)
                cost = usd(self.policy.student_price_usd)
                (answer,) = await student.answer([account.request])
            settled = settle(decision, answer.confidence)
            wrong = complaint(call.request, answer.message) if settled.by_student else None
            if settled.reason == "student_error" or wrong is not None:
                raise StudentError(wrong or f"its confidence is {answer.confidence!r}, outside [0, 1]")
        except Exception as error:  # noqa: BLE001 - whatever befalls a student, the teacher answers
            _log.warning("student %s failed on call %s: %r", route.student, call.id, error)
            return _Attempt(settle(decision, None), cost=cost, latency_ms=self._since(began))
        return _Attempt(settled, answer, cost, self._since(began))

    def _serve_student(self, account: Account, attempt: _Attempt, answer: Answer, route: TaskRoute) -> Served:
        response = Response(message=answer.message, finish_reason="tool_calls" if answer.message.tool_calls else "stop")
        invocation = account.served(
            attempt.decision.recorded(audit_probability=route.audit_probability, student_cost=attempt.cost),
            response,
            student=route.student,
            confidence=attempt.confidence,
            usage=answer.usage,
            cost_usd=attempt.cost,
            latency_ms=attempt.latency_ms,
        )
        recorded = self._note(account, invocation)
        self._draw_audit(account, Decision("audit", route), route.audit_probability)
        return Served(response, recorded)

    async def _serve_teacher(self, account: Account, attempt: _Attempt) -> Served:
        repeated = self.policy.self_agreement_rate
        route = attempt.decision.recorded(audit_probability=repeated, student_cost=attempt.cost)
        try:
            answer = await self._teacher.ask(account.call)
        except TeacherError as error:
            self._note(
                account,
                account.failed(
                    route,
                    error,
                    student=attempt.student,
                    confidence=attempt.confidence,
                    cost_usd=attempt.cost,
                    latency_ms=attempt.latency_ms + error.latency_ms,
                ),
            )
            raise
        invocation = account.answered(
            route,
            answer,
            student=attempt.student,
            confidence=attempt.confidence,
            cost_usd=usd(answer.cost_usd + attempt.cost),
            latency_ms=attempt.latency_ms + answer.latency_ms,
        )
        recorded = self._note(account, invocation)
        self._draw_audit(account, Decision("audit"), repeated)
        return Served(answer.response, recorded, answer.raw, answer.headers)

    def _draw_audit(self, account: Account, decision: Decision, probability: float) -> None:
        if account.recordable and drawn(account.call.draw, probability):
            task = asyncio.get_running_loop().create_task(self._audit(account.of_audit(), decision, probability))
            self._audits.add(task)
            task.add_done_callback(self._audits.discard)

    async def _audit(self, account: Account, decision: Decision, probability: float) -> None:
        """Ask the teacher about a call that was served already; nobody waits for it."""
        route = decision.recorded(audit_probability=probability)
        student = decision.route.student if decision.route else None
        try:
            async with self._auditing:
                answer = await self._teacher.ask(account.call, fresh=True)
        except TeacherError as error:
            self._note(account, account.failed(route, error, student=student, latency_ms=error.latency_ms))
        else:
            self._note(
                account,
                account.answered(
                    route, answer, student=student, cost_usd=usd(answer.cost_usd), latency_ms=answer.latency_ms
                ),
            )

    def _account(self, call: Call) -> Account:
        try:
            return Account.of(call, self._redact)
        except Exception as error:  # noqa: BLE001 - the redactor may be anyone's; the call goes on
            _log.error("call %s is not recorded, redaction failed: %r", call.id, error)
            return Account.unrecordable(call)

    def _note(self, account: Account, invocation: Invocation) -> Invocation:
        """Record an event, redacted; what cannot be redacted is not recorded."""
        if account.recordable:
            try:
                invocation = account.clean(invocation)
            except Exception as error:  # noqa: BLE001 - the redactor may be anyone's; the call goes on
                _log.error("call %s is not recorded, redaction failed: %r", invocation.id, error)
            else:
                self._record(invocation)
        return invocation

    def _since(self, began: float) -> float:
        return (self._timer() - began) * 1000
