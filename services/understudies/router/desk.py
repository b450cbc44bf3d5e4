"""The desk: serves one call, by the student or the teacher."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final, TypeVar

from understudies.client.redaction import Redactor
from understudies.events import owner_and_base, usd
from understudies.router.account import Account, Note
from understudies.router.answers import Answers
from understudies.router.attempt import Asker, Attempt
from understudies.router.audits import Audits
from understudies.router.call import Call, StreamingTeacher, Teacher, TeacherAnswer, TeacherError
from understudies.router.case import Case
from understudies.router.chooser import Chooser
from understudies.router.circuits import Circuits
from understudies.router.decision import NOTHING, Decision, barred, instead
from understudies.router.money import Grant
from understudies.router.money.amounts import dollars
from understudies.router.payment import OverBudget, Payments
from understudies.router.policy import Policy
from understudies.router.probation import Probation
from understudies.router.register import Register
from understudies.router.roster import Roster
from understudies.router.served import By, Served, Stream
from understudies.router.table import RoutingTable
from understudies.runtime.rules import Rules, TaskRules, TaskRulesOf

T = TypeVar("T")

_NEVER: Final = frozenset({"critical", "not_allowed", "withheld"})
"""Why a student's answer is not given, even where nobody else has one."""


class Desk:
    """Serves calls against one routing table, which its owner replaces as events come."""

    def __init__(
        self,
        *,
        teacher: Teacher,
        roster: Roster,
        record: Callable[[Note], None],
        table: RoutingTable | None = None,
        policy: Policy | None = None,
        rules: TaskRulesOf | None = None,
        redact: Redactor | None = None,
        chooser: Chooser | None = None,
        payments: Payments | None = None,
        answers: Answers | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.policy = policy or Policy()
        self.roster = roster
        self.chooser = chooser or Chooser(roster)
        self.chooser.table = table or self.chooser.table
        self.circuits = Circuits()
        self._rules = rules or Rules()
        self._teacher = teacher
        self._redact = redact
        self._payments = payments or Payments()
        self._answers = answers or Answers()
        self._asker = Asker(
            roster,
            flat_price_usd=self.policy.student_price_usd,
            timeout_s=self.policy.student_timeout_s,
            timer=timer,
        )
        self._probation = Probation(self._asker, self.policy.probation_calls)
        self._audits = Audits(teacher, self._payments, record, at_once=self.policy.audits_at_once)
        self._register = Register(record, self._audits, self_agreement_rate=self.policy.self_agreement_rate)

    @property
    def table(self) -> RoutingTable:
        """The routing table in force."""
        return self.chooser.table

    @table.setter
    def table(self, table: RoutingTable) -> None:
        self.chooser.table = table

    @property
    def audits_given_up(self) -> int:
        """How many were drawn and never asked: the teacher is too slow for so many at once."""
        return self._audits.given_up

    @property
    def audits_in_flight(self) -> int:
        return len(self._audits)

    async def serve(self, call: Call) -> Served:
        """Answer a call whole; raises TeacherError where the teacher was needed and did not answer."""
        done = await self._without_teacher(call)
        return done if isinstance(done, Served) else await self._whole(done)

    async def stream(self, call: Call) -> Served | Stream:
        """Answer a call in pieces where the teacher answers it; what a student answers comes whole, as it is proven."""
        done = await self._without_teacher(call)
        if isinstance(done, Served):
            return done
        return await self._begun(done, self._teacher)  # type: ignore[arg-type] # only served over HTTP

    async def idle(self) -> None:
        """Return when no audit and no load of a student is in flight."""
        await self.roster.idle()
        await self._audits.idle()
        await self._probation.idle()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait for the audits in flight, within a time-out, and give up those that are not done."""
        await self._audits.close(timeout_s)
        await self._probation.close()
        self.roster.close()

    async def _without_teacher(self, call: Call) -> Served | Case:
        """From the cache or by the student; else what is known when the teacher is asked."""
        rules = self._rules.of(call.task)
        account = Account(call, self._redact)
        try:
            known = await self._answers.get(call, rules)
            if known is not None:
                return self._register.repeated(account, known)
            decision = await self.chooser.decide(account, rules, critical=self._is_critical(call))
        except asyncio.CancelledError as cancelled:
            self._register.abandoned(Case(account, Attempt(Decision("no_student")), rules), cancelled)
            raise
        if not decision.by_student or decision.route is None:
            return Case(account, Attempt(decision), rules)
        if self._probation.holds(decision.route.student):
            return Case(account, Attempt(replace(decision, reason="control")), rules)
        attempt = await self._asked(account, decision, rules)
        if attempt.answer is not None and attempt.decision.by_student:
            return self._register.by_student(account, attempt)
        case = Case(account, attempt, rules)
        if rules.escalation == "refuse" and attempt.decision.reason == "low_confidence":
            refused = TeacherError(503, "the student is not sure, and the task's rules ask nobody else", code="unsure")
            self._register.failed(case, refused)
            raise refused
        return case

    async def _asked(self, account: Account, decision: Decision, rules: TaskRules) -> Attempt:
        """The student, asked within the budget, unless it has failed too often lately."""
        assert decision.route is not None
        call, student = account.call, decision.route.student
        ticket = self.circuits.enter(student)
        if ticket is None:
            return Attempt(barred(decision, circuit_open=True))
        ok: bool | None = None
        grant: Grant | None = None
        likely = usd(0)
        try:
            grant = await self._payments.reserve_student(call, self.policy.student_price_usd)
            likely = self.policy.student_price_usd
            attempt = await self._asker.ask(account, decision, decision.route, hold_back=rules.hold_back_tokens)
            ok = not attempt.failed
            self._payments.settle(grant, call, attempt.cost_usd)
        except OverBudget as refused:
            self._register.refused(Case(account, Attempt(decision), rules), refused)
            raise
        except asyncio.CancelledError as cancelled:
            self._payments.settle(grant, call, likely)
            self._register.abandoned(Case(account, Attempt(decision), rules), cancelled, likely)
            raise
        finally:
            self.circuits.leave(student, ticket, ok)
        if attempt.answer is not None and attempt.decision.by_student:
            attempt = self._register.confirmed(account, attempt)
        try:
            if attempt.decision.by_student and not await self.chooser.may_serve(call, rules):
                return replace(attempt, decision=replace(attempt.decision, reason="episode_target"))
        except asyncio.CancelledError as cancelled:
            self._register.abandoned(Case(account, attempt, rules), cancelled)
            raise
        return self._upheld(call, attempt)

    def _upheld(self, call: Call, attempt: Attempt) -> Attempt:
        """What a student has answered, unless something came up since it was asked that keeps it from serving."""
        if attempt.answer is None or not attempt.decision.by_student:
            return attempt
        decision = self._now(call, attempt)
        return attempt if decision.by_student else replace(attempt, decision=decision, answer=None)

    def _now(self, call: Call, attempt: Attempt) -> Decision:
        rules, critical = self._rules.of(call.task), self._is_critical(call)
        return self.chooser.upheld(attempt.decision, call, rules, attempt.answer, critical=critical)

    def _is_critical(self, call: Call) -> bool:
        named = self.policy.critical_tasks
        # A tenant's own task is critical where the task of that name is.
        return bool(named) and (call.task in named or owner_and_base(call.task)[1] in named)

    async def _whole(self, case: Case) -> Served:
        call = case.account.call
        grant = await self._granted(case)
        if isinstance(grant, Served):
            return grant
        answer = await self._from_teacher(case, grant, self._teacher.ask(call))
        if isinstance(answer, Served):
            return answer
        answer = self._counted(call, grant, answer)
        note = self._register.by_teacher(case, answer)
        self._try_out(case, answer)
        self._answers.put(call, case.rules, answer)
        attempt = case.attempt
        waited_ms = attempt.latency_ms + answer.latency_ms
        decision = instead(attempt.decision, fallback=answer.fallback)
        by = By("teacher", decision, attempt.confidence, answer.teacher, waited_ms)
        return Served(answer.response, by, note, answer.model, answer.usage, answer.raw, answer.headers, answer.status)

    async def _begun(self, case: Case, teacher: StreamingTeacher) -> Served | Stream:
        call = case.account.call
        grant = await self._granted(case)
        if isinstance(grant, Served):
            return grant
        stream = await self._from_teacher(case, grant, teacher.stream(call))
        if isinstance(stream, Served):
            return stream

        def finished(answer: TeacherAnswer | TeacherError) -> None:
            if isinstance(answer, TeacherError):
                answer.cost_usd = self._paid(call, grant, answer)
                self._payments.settle(grant, call, answer.cost_usd)
                self._register.failed(case, answer)
                return
            answer = self._counted(call, grant, answer)
            self._register.by_teacher(case, answer)
            self._try_out(case, answer)
            if case.rules.cache_ttl_s is not None:
                self._answers.put(call, case.rules, replace(answer, raw=stream.body()))

        decision = instead(case.attempt.decision, fallback=stream.fallback)
        by = By("teacher", decision, case.attempt.confidence, stream.teacher)
        return Stream(stream, by, finished)

    async def _from_teacher(self, case: Case, grant: Grant | None, asked: Awaitable[T]) -> T | Served:
        """What the teacher gives, or the student's answer as a last resort; failures are recorded and raised."""
        call = case.account.call
        try:
            return await asked
        except TeacherError as error:
            error.cost_usd = self._paid(call, grant, error)
            self._payments.settle(grant, call, error.cost_usd)
            if case.last_resort and self._now(call, case.attempt).reason not in _NEVER:
                return self._register.by_student(case.account, case.attempt, paid=error.cost_usd)
            self._register.failed(case, error)
            raise
        except asyncio.CancelledError as cancelled:
            # What the teacher had done by then is not known: the whole estimate counts as spent.
            likely = _held(grant) or self._payments.likely(call)
            self._payments.settle(grant, call, likely)
            self._register.abandoned(case, cancelled, likely)
            raise
        except Exception:
            failed = TeacherError(500, "the router failed", code="router_failed", cost_usd=_held(grant))
            self._payments.settle(grant, call, failed.cost_usd)
            self._register.failed(case, failed)
            raise

    def _try_out(self, case: Case, answer: TeacherAnswer) -> None:
        """Compare what a student new here would have said to a call of the control group."""
        decision = case.attempt.decision
        if decision.reason != "control" or decision.route is None or answer.hung_up or answer.fallback:
            return
        if self._probation.holds(decision.route.student):
            self._probation.begin(case.account, decision.route, answer.response.message, case.rules.min_agreement)

    def _counted(self, call: Call, grant: Grant | None, answer: TeacherAnswer) -> TeacherAnswer:
        """The answer with all that it cost, which is settled."""
        whole = not (answer.in_vain or answer.hung_up)
        if answer.in_vain:
            cost = answer.cost_usd + self._payments.lost(call, answer.in_vain)
            answer = replace(answer, cost_usd=usd(cost), estimated=True)
        self._payments.settle(grant, call, answer.cost_usd, typical=whole)
        return answer

    def _paid(self, call: Call, grant: Grant | None, error: TeacherError) -> Decimal:
        """What a teacher's failure cost; what was set aside where it took the call, but did not say what it used."""
        accepted = 200 <= error.status < 300
        told = (_held(grant) or self._payments.likely(call)) if accepted and not error.cost_usd else error.cost_usd
        return usd(told + self._payments.lost(call, error.in_vain))

    async def _granted(self, case: Case) -> Grant | Served | None:
        """Room in the budget for the teacher's call, or what a student answers instead.

        Raises OverBudget, which is recorded.
        """
        try:
            return await self._payments.reserve(case.account.call)
        except OverBudget as refused:
            return await self._spared(case, refused)
        except asyncio.CancelledError as cancelled:
            self._register.abandoned(case, cancelled)
            raise

    async def _spared(self, case: Case, refused: OverBudget) -> Served:
        """The answer of a student that a draw or its episode alone kept from the call; raises what else was refused."""
        account, rules = case.account, case.rules
        decision = case.attempt.decision
        tried_out = decision.route is None or not self._probation.holds(decision.route.student)
        may = refused.student_may and tried_out
        asked = self.chooser.spared(decision, account.call, rules) if may else None
        attempt = case.attempt if asked is None else await self._asked(account, asked, rules)
        if attempt.answer is not None and attempt.decision.by_student:
            return self._register.by_student(account, attempt, spared=True)
        self._register.refused(replace(case, attempt=attempt), refused)
        raise refused


def _held(grant: Grant | None) -> Decimal:
    return NOTHING if grant is None else dollars(grant.hold.nanos)
