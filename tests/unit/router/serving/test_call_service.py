"""One call at the desk."""

import asyncio
from decimal import Decimal

import pytest
from tests.support.chat_messages import assistant_message, user_request
from tests.support.router_fixtures import (
    FixedStudent,
    FixedTeacher,
    InvocationCollector,
    StubLoader,
    make_call,
    make_drift,
    make_promotion,
    word_for,
)

from understudies.events import Event, Request, fingerprint, position
from understudies.redaction.patterns import default_redactor
from understudies.router.call import Call, TeacherAnswer, TeacherError
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.call_service import CallService
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.settings import ServingLimits
from understudies.students.base import Answer, StudentError, text_answer


class World:
    """A desk with a student, a teacher and a book, after some events."""

    def __init__(self, *events: Event, policy: ServingLimits | None = None) -> None:
        self.student = FixedStudent()
        self.load = StubLoader(self.student)
        self.teacher = FixedTeacher()
        self.book = InvocationCollector()
        self.desk = CallService(
            teacher=self.teacher,
            student_registry=StudentRegistry(self.load),
            record=self.book,
            limits=policy,
            redact=default_redactor,
            timer=lambda: 0.0,
        )
        for event in events:
            self.desk.table = self.desk.table.apply(event)


async def test_without_a_promotion_the_teacher_answers() -> None:
    world = World()
    served = await world.desk.serve(make_call())
    (event,) = world.book.events
    assert served.response.message.text == "teacher's answer"
    assert (event.served_by, event.student, event.confidence) == ("teacher", None, None)
    assert event.route is not None
    assert event.route.reason == "no_student"
    assert (event.cost_usd, event.latency_ms) == (Decimal("0.01"), 3.0)


async def test_a_promoted_student_answers_at_its_own_price() -> None:
    world = World(make_promotion(audit_rate=0.25))
    served = await world.desk.serve(make_call())
    (event,) = world.book.events
    assert served.invocation == event
    assert served.response.message.text == "student's answer"
    assert (event.served_by, event.student, event.model, event.confidence) == ("student", "triage@1", "triage@1", 0.9)
    assert event.route is not None
    assert (event.route.reason, event.route.audit_probability, event.route.threshold) == ("promoted", 0.25, 0.8)
    assert event.cost_usd == event.route.student_cost_usd == Decimal("0.0002")
    assert world.teacher.calls == []


async def test_low_confidence_escalates_and_both_are_paid() -> None:
    world = World(make_promotion())
    world.student.reply = text_answer("a guess", 0.79)
    served = await world.desk.serve(make_call())
    (event,) = world.book.events
    assert served.response.message.text == "teacher's answer"
    assert (event.served_by, event.student, event.confidence) == ("teacher", "triage@1", 0.79)
    assert event.route is not None
    assert event.route.reason == "low_confidence"
    assert (event.cost_usd, event.route.student_cost_usd) == (Decimal("0.0102"), Decimal("0.0002"))
    assert not event.unbiased


@pytest.mark.parametrize(
    "reply",
    [
        StudentError("no"),
        RuntimeError("a bug"),
        Answer(assistant_message("no number"), float("nan")),
        Answer(assistant_message("too sure"), 1.5),
        Answer(assistant_message(""), 0.99),
    ],
    ids=["error", "bug", "nan", "too sure", "empty"],
)
async def test_whatever_befalls_the_student_the_teacher_answers(reply: Answer | Exception) -> None:
    world = World(make_promotion())
    world.student.reply = reply
    served = await world.desk.serve(make_call())
    (event,) = world.book.events
    assert served.response.message.text == "teacher's answer"
    assert event.route is not None
    assert (event.route.reason, event.student, event.confidence) == ("student_error", "triage@1", None)
    assert event.cost_usd == Decimal("0.0102")


async def test_a_slow_student_is_not_waited_for() -> None:
    world = World(make_promotion(), policy=ServingLimits(student_timeout_s=0.01))
    world.student.asleep = True
    served = await asyncio.wait_for(world.desk.serve(make_call()), 5)
    assert served.invocation.route is not None
    assert served.invocation.route.reason == "student_error"


async def test_an_artifact_that_cannot_be_loaded_costs_nothing() -> None:
    world = World(make_promotion())
    world.load.student = None
    served = await world.desk.serve(make_call())
    assert served.invocation.route is not None
    assert served.invocation.route.reason == "student_error"
    assert served.invocation.cost_usd == Decimal("0.01")


async def test_an_answer_that_is_not_the_json_asked_for_goes_to_the_teacher() -> None:
    world = World(make_promotion())
    request = Request.model_validate({**user_request("who").model_dump(), "response_format": {"type": "json_object"}})
    served = await world.desk.serve(make_call(request=request))
    assert served.invocation.route is not None
    assert served.invocation.route.reason == "student_error"


@pytest.mark.parametrize("share", [0.0, 0.3])
async def test_the_control_group_is_answered_without_asking_the_student(share: float) -> None:
    world = World(make_promotion(share=share))
    for number in range(40):
        await world.desk.serve(make_call(number, word_for(number)))
    reasons = [event.route.reason for event in world.book.events if event.route]
    assert world.student.asked == reasons.count("promoted")
    control = [event for event in world.book.events if event.route and event.route.reason == "control"]
    assert len(control) == 40 - world.student.asked > 0
    assert all(e.unbiased and e.confidence is None and e.student is None for e in control)
    assert all(e.route is not None and e.route.share == share for e in control)


async def test_an_episode_stays_with_the_variant_it_began_with() -> None:
    world = World(make_promotion(share=0.5))
    for episode in range(20):
        for turn in range(4):
            await world.desk.serve(
                make_call(
                    episode * 10 + turn,
                    f"turn {word_for(turn)} of {word_for(episode)} {word_for(10 * episode + turn)}",
                    episode=f"episode {episode}",
                )
            )
    variants = {(event.episode, event.served_by) for event in world.book.events}
    assert len(variants) == 20
    assert {served_by for _, served_by in variants} == {"student", "teacher"}


async def test_critical_calls_and_tasks_stay_with_the_teacher() -> None:
    world = World(make_promotion(), policy=ServingLimits(critical_tasks=frozenset({"triage"})))
    await world.desk.serve(make_call())
    world.desk.limits = ServingLimits()
    await world.desk.serve(make_call(1, critical=True))
    assert [event.route.reason for event in world.book.events if event.route] == ["critical", "critical"]
    assert world.student.asked == 0


async def test_drift_takes_effect_with_the_next_call() -> None:
    world = World(make_promotion())
    await world.desk.serve(make_call())
    world.desk.table = world.desk.table.apply(make_drift())
    await world.desk.serve(make_call(1))
    assert [event.route.reason for event in world.book.events if event.route] == ["promoted", "drift"]


async def test_a_drawn_call_is_audited_in_the_background() -> None:
    world = World(make_promotion(audit_rate=0.3))
    await world.desk.serve(make_call(draw=0.29))
    assert world.desk.audits_in_flight == 1
    await world.desk.wait_idle()
    live, audit = world.book.events
    assert (audit.origin, audit.audits, audit.served_by) == ("audit", live.id, "teacher")
    assert (audit.request, audit.fingerprint, audit.task) == (live.request, live.fingerprint, live.task)
    assert audit.response is not None
    assert audit.response.message.text == "teacher's answer"
    assert audit.id != live.id
    assert (audit.cost_usd, audit.student) == (Decimal("0.01"), "triage@1")
    assert audit.route is not None
    assert (audit.route.reason, audit.route.audit_probability) == ("audit", 0.3)
    assert live.route is not None
    assert (live.route.drawn, audit.route.drawn) == (True, None)
    assert [fresh for _, fresh in world.teacher.calls] == [True]


class Slow(FixedTeacher):
    """Answers audits when told to, and counts those that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on, self.eight = asyncio.Event(), asyncio.Event()
        self.waiting = self.most = 0

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        if fresh:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            if self.waiting == 8:
                self.eight.set()
            await self.go_on.wait()
            self.waiting -= 1
        return await super().ask(call, fresh=fresh)


def slowly_audited() -> tuple[CallService, Slow, InvocationCollector]:
    teacher, book = Slow(), InvocationCollector()
    table = RoutingTable().apply(make_promotion(audit_rate=1.0))
    return (
        CallService(
            teacher=teacher, student_registry=StudentRegistry(StubLoader(FixedStudent())), record=book, table=table
        ),
        teacher,
        book,
    )


async def test_a_slow_teacher_gets_eight_audits_at_a_time() -> None:
    desk, teacher, book = slowly_audited()
    for number in range(20):
        await desk.serve(make_call(number, word_for(number)))
    await asyncio.wait_for(teacher.eight.wait(), 5)
    teacher.go_on.set()
    await desk.wait_idle()
    assert teacher.most == 8
    assert [event.origin for event in book.events].count("audit") == 20


async def test_closing_gives_up_audits_that_take_too_long(caplog: pytest.LogCaptureFixture) -> None:
    desk, teacher, book = slowly_audited()
    await desk.serve(make_call())
    await asyncio.wait_for(desk.close(timeout_s=0.01), 5)
    assert (desk.audits_in_flight, teacher.calls) == (0, [])
    assert [event.origin for event in book.events] == ["live"]
    assert "1 audits dropped" in caplog.text


async def test_a_call_that_was_not_drawn_is_not_audited() -> None:
    world = World(make_promotion(audit_rate=0.3))
    await world.desk.serve(make_call(draw=0.3))
    await world.desk.wait_idle()
    (event,) = world.book.events
    assert event.origin == "live"
    assert event.route is not None
    assert (event.route.audit_probability, event.route.drawn) == (0.3, False)


async def test_an_audit_that_failed_is_recorded_as_failed() -> None:
    world = World(make_promotion(audit_rate=1.0))
    world.teacher.error = TeacherError(500, "broken")
    await world.desk.serve(make_call())
    await world.desk.wait_idle()
    audit = world.book.events[1]
    assert (audit.origin, audit.response, audit.served_by) == ("audit", None, "none")
    assert audit.error == "teacher answered 500: broken"


async def test_the_same_call_played_twice_has_the_same_events() -> None:
    events = []
    for _ in range(2):
        world = World(make_promotion(audit_rate=1.0))
        await world.desk.serve(make_call())
        await world.desk.wait_idle()
        events.append(world.book.events)
    assert events[0] == events[1]


async def test_the_teacher_is_asked_again_for_its_agreement_with_itself() -> None:
    world = World(policy=ServingLimits(self_agreement_rate=0.1))
    await world.desk.serve(make_call(draw=0.05))
    await world.desk.serve(make_call(1, draw=0.5))
    await world.desk.wait_idle()
    first, second, again = world.book.events
    assert [fresh for _, fresh in world.teacher.calls] == [False, False, True]
    assert (again.origin, again.audits, again.student) == ("audit", first.id, None)
    assert first.route is not None
    assert again.route is not None
    assert first.route.audit_probability == again.route.audit_probability == 0.1
    assert second.origin == "live"
    assert second.route is not None
    assert (first.route.drawn, second.route.drawn) == (True, False)


async def test_an_error_of_the_teacher_is_recorded_and_raised() -> None:
    world = World(make_promotion())
    world.student.reply = text_answer("a guess", 0.1)
    world.teacher.error = TeacherError(429, "slow down", headers={"retry-after": "7"}, latency_ms=20.0)
    with pytest.raises(TeacherError) as raised:
        await world.desk.serve(make_call())
    (event,) = world.book.events
    assert (raised.value.status, raised.value.headers) == (429, {"retry-after": "7"})
    assert (event.served_by, event.error, event.response) == ("none", "teacher answered 429: slow down", None)
    assert (event.cost_usd, event.latency_ms, event.student) == (Decimal("0.0002"), 20.0, "triage@1")


async def test_what_is_recorded_is_redacted_and_what_is_asked_and_answered_is_not() -> None:
    world = World()
    request = user_request("write to ada@example.org")
    served = await world.desk.serve(make_call(request=request))
    (event,) = world.book.events
    assert world.teacher.calls[0][0].request == request
    assert served.response.message.text == "teacher's answer"
    assert event.request.messages[-1].text == "write to [EMAIL]"
    assert event.fingerprint == fingerprint(event.request)


async def test_a_student_is_asked_what_is_recorded_and_the_teacher_what_was_asked() -> None:
    world = World(make_promotion(audit_rate=1.0))
    request = user_request("write to ada@example.org")
    await world.desk.serve(make_call(request=request))
    await world.desk.wait_idle()
    live, audit = world.book.events
    assert world.student.requests == [live.request] == [audit.request]
    assert live.request.messages[-1].text == "write to [EMAIL]"
    assert [teachers.request for teachers, _ in world.teacher.calls] == [request]


async def test_an_answer_with_what_redaction_left_goes_to_the_teacher() -> None:
    world = World(make_promotion())
    world.student.reply = text_answer("I wrote to [EMAIL]", 0.99)
    served = await world.desk.serve(make_call(request=user_request("write to ada@example.org")))
    assert served.response.message.text == "teacher's answer"
    assert world.book.events[0].route is not None
    assert world.book.events[0].route.reason == "student_error"


async def test_the_canary_is_drawn_by_the_fingerprint_that_is_recorded() -> None:
    world = World(make_promotion(share=0.5))
    for number in range(40):
        await world.desk.serve(make_call(number, f"{word_for(number)} to ada{number}@example.org"))
        await world.desk.serve(make_call(100 + number, f"{word_for(100 + number)} to bob{number}@example.org"))
    for event in world.book.events:
        inside = position(event.fingerprint, salt="canary:triage") < 0.5
        assert event.fingerprint == fingerprint(event.request)
        assert (event.served_by == "student") is inside
    assert 10 < world.student.asked < 70


async def test_what_cannot_be_redacted_is_the_teachers_alone() -> None:
    def broken(text: str) -> str:
        raise RuntimeError(f"cannot redact {len(text)} characters")

    book, teacher, student = InvocationCollector(), FixedTeacher(), FixedStudent()
    table = RoutingTable().apply(make_promotion(audit_rate=1.0))
    policy = ServingLimits(self_agreement_rate=1.0)
    roster = StudentRegistry(StubLoader(student))
    desk = CallService(teacher=teacher, student_registry=roster, record=book, table=table, limits=policy, redact=broken)
    served = await desk.serve(make_call())
    await desk.wait_idle()
    assert served.response.message.text == "teacher's answer"
    assert (book.events, student.asked, len(teacher.calls)) == ([], 0, 1)


async def test_an_answer_that_cannot_be_redacted_is_not_recorded() -> None:
    def broken(text: str) -> str:
        if "answer" in text:
            raise RuntimeError("cannot redact answers")
        return text

    book, teacher = InvocationCollector(), FixedTeacher()
    desk = CallService(
        teacher=teacher,
        student_registry=StudentRegistry(StubLoader(None)),
        record=book,
        table=RoutingTable(),
        redact=broken,
    )
    served = await desk.serve(make_call())
    assert served.response.message.text == "teacher's answer"
    assert book.events == []


async def test_what_no_student_can_give_is_not_asked_of_one() -> None:
    world = World(make_promotion())
    request = Request.model_validate({**user_request("hi").model_dump(), "parameters": {"n": 3}})
    served = await world.desk.serve(make_call(request=request))
    assert served.invocation.route is not None
    assert served.invocation.route.reason == "unsuitable"
    assert not served.invocation.unbiased
    assert world.student.asked == 0


async def test_the_four_answers_after_a_wrong_one_are_audited_and_recorded_as_certain_to_be() -> None:
    world = World(make_promotion(audit_rate=0.3))
    for number, sample in enumerate((0.29, 0.9, 0.9)):
        await world.desk.serve(make_call(number, word_for(number), draw=sample))
        await world.desk.wait_idle()
    routes = [event.route for event in world.book.events if event.origin == "live"]
    assert [(route.audit_probability, route.drawn) for route in routes if route] == [(0.3, True), (1, True), (1, True)]
    world.student.reply = text_answer("teacher's answer", 0.9)
    for number in range(3, 9):
        await world.desk.serve(make_call(number, word_for(number), draw=0.9))
        await world.desk.wait_idle()
    later = [event.route for event in world.book.events if event.origin == "live"][3:]
    assert [route.audit_probability for route in later if route] == [1, 1, 1, 1, 0.3, 0.3]


async def test_a_spot_check_that_disagrees_is_no_reason_for_more_audits() -> None:
    world = World(make_promotion(audit_rate=0.3, spot_checks=True))
    for number in range(3):
        await world.desk.serve(make_call(number, word_for(number), draw=0.9))
        await world.desk.wait_idle()
    assert [event.origin for event in world.book.events].count("audit") == 1
    routes = [event.route for event in world.book.events if event.origin == "live"]
    assert [route.audit_probability for route in routes if route] == [0.3] * 3
