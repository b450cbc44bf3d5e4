"""The register: writes down what became of the calls, and draws which of them are asked about again."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

from understudies.events import Message, Response, usd
from understudies.router.account import Account, Note
from understudies.router.answers import Known
from understudies.router.attempt import Attempt
from understudies.router.audits import Audits
from understudies.router.call import TeacherAnswer, TeacherError
from understudies.router.case import Case, gave_up
from understudies.router.decision import NOTHING, Decision, TaskRoute, barred, drawn, instead
from understudies.router.dialects import student_able
from understudies.router.payment import OverBudget
from understudies.router.repeats import Repeats
from understudies.router.served import By, Served
from understudies.router.spot_checks import FollowUps, SpotChecks


class Register:
    """Records each call once; a share of the teacher's answers, `self_agreement_rate`, is drawn to be asked again."""

    def __init__(self, record: Callable[[Note], None], audits: Audits, *, self_agreement_rate: float) -> None:
        self._record = record
        self._audits = audits
        self._self_agreement_rate = self_agreement_rate
        self._spot_checks = SpotChecks()
        self._follow_ups = FollowUps()
        self._repeats = Repeats()

    def by_student(
        self, account: Account, attempt: Attempt, *, paid: Decimal | None = None, spared: bool = False
    ) -> Served:
        """Give the student's answer; `paid` is what a teacher took who had none, where it is the last resort.

        Such an answer is not audited: what it was not sure of says nothing about what it serves. Where a teacher was
        `spared`, for want of money, it is one of those that the student serves, and audited as such.
        """
        decision, answer = attempt.decision, attempt.answer
        assert answer is not None
        assert decision.route is not None
        message, route = answer.message, decision.route
        usual = route.audit_probability if decision.by_student else 0.0
        probability = self._follow_ups.probability(route.student, usual)
        decision = barred(decision, over_budget=spared)
        finish_reason = answer.finish_reason or ("tool_calls" if message.tool_calls else "stop")
        response = Response(message=message, finish_reason=finish_reason)
        audited = drawn(account.call.draw, probability)
        spot_check = decision.by_student and route.spot_checks and self._spot_checks.due(account.call, route, answer)
        note = account.served(
            decision.recorded(
                audit_probability=probability, student_cost=attempt.cost_usd, drawn=audited, spot_check=spot_check
            ),
            response,
            student=route.student,
            confidence=attempt.confidence,
            usage=answer.usage,
            cost_usd=usd(attempt.cost_usd + (paid or 0)),
            latency_ms=attempt.latency_ms,
        )
        self._record(note)
        if audited or spot_check:
            self._audits.begin(account, Decision("audit", route), probability, partial(self._compare, route, message))
        by = By("student", decision, attempt.confidence, waited_ms=attempt.latency_ms)
        return Served(response, by, note, route.student, answer.usage)

    def _compare(self, route: TaskRoute, message: Message, answer: TeacherAnswer) -> None:
        """Audit more of the student's answers where the teacher does not agree with this one."""
        if not answer.fallback and not same_answer(route.judge, answer.response.message, message):
            self._follow_ups.disagreed(route.student)

    def confirmed(self, account: Account, attempt: Attempt) -> Attempt:
        """What the student has answered, unless near copies of the call still wait for the teacher to confirm it.

        What is remembered for an input of the head is proven by itself.
        """
        call, decision = account.call, attempt.decision
        if decision.head or decision.route is None:
            return attempt
        if self._repeats.may_serve(decision.route.student, account.request, call.at.date()):
            return attempt
        return replace(attempt, decision=replace(decision, reason="unconfirmed"))

    def abandoned(self, case: Case, cancelled: asyncio.CancelledError, cost: Decimal = NOTHING) -> None:
        """Nobody waits for the answer any longer."""
        gone = gave_up(cancelled, cost)
        self.failed(case, gone, hung_up=gone.code == "hung_up")

    def repeated(self, account: Account, known: Known) -> Served:
        """An identical request was answered before."""
        decision = Decision("cached")
        note = account.repeated(decision.recorded(), known.response, model=known.model)
        self._record(note)
        return Served(
            known.response, By("cache", decision, teacher=known.teacher), note, known.model, known.usage, known.raw
        )

    def refused(self, case: Case, refused: OverBudget) -> None:
        """The budget has no room for the call."""
        attempt = case.attempt
        decision = barred(attempt.decision, over_budget=True)
        self.failed(replace(case, attempt=replace(attempt, decision=decision)), refused)

    def failed(self, case: Case, error: TeacherError, *, hung_up: bool = False) -> None:
        """Nobody answered, for whichever reason."""
        attempt = case.attempt
        self._record(
            case.account.failed(
                attempt.decision.recorded(student_cost=attempt.cost_usd),
                error,
                student=attempt.student,
                confidence=attempt.confidence,
                cost_usd=usd(error.cost_usd + attempt.cost_usd),
                latency_ms=attempt.latency_ms + error.latency_ms,
                hung_up=hung_up,
                usage_estimated=(hung_up or error.in_vain > 0) and error.cost_usd > 0,
            )
        )

    def by_teacher(self, case: Case, answer: TeacherAnswer) -> Note:
        """Write down the teacher's answer, and draw whether it is asked again."""
        attempt = case.attempt
        if attempt.decision.reason == "unconfirmed" and not (answer.hung_up or answer.fallback):
            account = case.account
            day = account.call.at.date()
            self._repeats.told(day, account.request, attempt, answer.response.message)
        # What the provider keeps or does itself would be kept or done twice.
        call = case.account.call
        once = answer.hung_up or answer.fallback or call.stored or not student_able(call.request)
        repeated = 0.0 if once else self._self_agreement_rate
        again = drawn(case.account.call.draw, repeated)
        decision = instead(attempt.decision, fallback=answer.fallback)
        note = case.account.answered(
            decision.recorded(audit_probability=repeated, student_cost=attempt.cost_usd, drawn=again),
            answer,
            student=attempt.student,
            confidence=attempt.confidence,
            cost_usd=usd(answer.cost_usd + attempt.cost_usd),
            latency_ms=attempt.latency_ms + answer.latency_ms,
        )
        self._record(note)
        if again:
            self._audits.begin(case.account, Decision("audit"), repeated)
        return note
