"""What a student is not to say at the desk, what it is not proven on yet, and what is checked of the rest."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.router_fixtures import (
    FixedStudent,
    FixedTeacher,
    InvocationCollector,
    StubLoader,
    make_call,
    make_promotion,
    word_for,
)

from understudies.events import Invocation, Promotion, Request, Withheld
from understudies.router.call import TeacherError
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.call_service import CallService
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.settings import ServingLimits
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.students.base import Answer, text_answer

REFUND = "label:refund"


class Interrupted(FixedStudent):
    """Answers after something has happened."""

    def __init__(self) -> None:
        super().__init__("refund", 0.9)
        self.happens: Callable[[], None] = lambda: None

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        answers = await super().answer(requests)
        self.happens()
        return answers


class World:
    """A desk at which a student says `refund` with a confidence of 0.9."""

    def __init__(self, promoted: Promotion, **rules: Any) -> None:
        self.student = Interrupted()
        self.teacher = FixedTeacher()
        self.book = InvocationCollector()
        self.desk = CallService(
            teacher=self.teacher,
            student_registry=StudentRegistry(StubLoader(self.student)),
            record=self.book,
            table=RoutingTable().apply(promoted),
            limits=ServingLimits(),
            rules=Rules(tasks={"triage": TaskRules(**rules)}),
            timer=lambda: 0.0,
        )

    def knows_the_head(self, name: str = "text:1", confidence: float = 0.9) -> None:
        self.student.reply = replace(text_answer("refund", confidence), head=name)

    async def told(self, **fields: Any) -> tuple[str, str]:
        """Serve a call; who answered, and why."""
        await self.desk.serve(make_call(**fields))
        return self.event.served_by, reason_of(self.event)

    @property
    def event(self) -> Invocation:
        return self.book.events[-1]


def reason_of(event: Invocation) -> str:
    assert event.route is not None
    return event.route.reason


def withholding(**withheld: Any) -> Promotion:
    return make_promotion(withheld=Withheld(**withheld))


# Answers


@pytest.mark.parametrize(("up_to", "served_by"), [(0.89, "student"), (0.9, "teacher"), (1.0, "teacher")])
async def test_an_answer_goes_to_the_teacher_up_to_the_confidence_where_it_was_wrong(
    up_to: float, served_by: str
) -> None:
    world = World(withholding(answers={REFUND: up_to}))
    assert await world.told() == (served_by, "promoted" if served_by == "student" else "withheld")
    assert (world.event.student, world.event.confidence) == ("triage@1", 0.9)


async def test_other_answers_of_the_student_are_served() -> None:
    world = World(withholding(answers={"label:card arrival": 1.0}))
    assert await world.told() == ("student", "promoted")


async def test_a_withheld_answer_is_paid_for_and_is_no_unbiased_evidence() -> None:
    world = World(withholding(answers={REFUND: 1.0}))
    await world.told()
    assert world.event.route is not None
    assert world.event.cost_usd > world.event.route.student_cost_usd > 0
    assert not world.event.unbiased


async def test_who_wants_no_teacher_for_unsure_answers_has_one_for_withheld_ones() -> None:
    world = World(withholding(answers={REFUND: 1.0}), escalation="refuse")
    assert await world.told() == ("teacher", "withheld")


@pytest.mark.parametrize("confidence", [0.9, 0.5])
async def test_a_withheld_answer_is_no_last_resort_however_sure_or_unsure(confidence: float) -> None:
    world = World(withholding(answers={REFUND: 1.0}), escalation="teacher_or_student")
    world.student.reply = text_answer("refund", confidence)
    world.teacher.error = TeacherError(503, "gone")
    with pytest.raises(TeacherError, match="gone"):
        await world.told()
    assert world.event.served_by == "none"


async def test_an_unsure_answer_beside_a_withheld_one_is_a_last_resort() -> None:
    world = World(withholding(answers={"label:card arrival": 1.0}), escalation="teacher_or_student")
    world.student.reply = text_answer("refund", 0.5)
    world.teacher.error = TeacherError(503, "gone")
    assert await world.told() == ("student", "low_confidence")


async def test_what_is_withheld_while_the_student_answers_is_not_served() -> None:
    world = World(make_promotion())

    def withhold() -> None:
        later = make_promotion(minute=1, withheld=Withheld(answers={REFUND: 1.0}))
        world.desk.table = world.desk.table.apply(later)

    world.student.happens = withhold
    assert await world.told() == ("teacher", "withheld")


# The head


async def test_an_unproven_input_of_the_head_is_the_teachers_and_unbiased_evidence() -> None:
    world = World(make_promotion())
    world.knows_the_head(confidence=1.0)
    assert await world.told() == ("teacher", "unproven")
    assert world.event.unbiased
    assert world.event.route is not None
    assert (world.event.route.head, world.event.route.threshold) == (True, None)


async def test_a_proven_input_of_the_head_is_served_from_its_own_threshold() -> None:
    world = World(make_promotion(threshold=0.95, head_threshold=0.9))
    assert await world.told() == ("teacher", "low_confidence")
    world.knows_the_head()
    assert await world.told() == ("student", "promoted")
    assert world.event.route is not None
    assert (world.event.route.head, world.event.route.threshold) == (True, 0.9)


async def test_an_input_of_the_head_can_be_withheld_by_its_name() -> None:
    world = World(make_promotion(head_threshold=0.5, withheld=Withheld(inputs=("text:1",), answers={REFUND: 1.0})))
    world.knows_the_head("text:1")
    assert await world.told() == ("teacher", "withheld")
    world.knows_the_head("text:2")
    assert await world.told() == ("student", "promoted")


# Groups


@pytest.mark.parametrize(
    ("group", "call_", "withheld"),
    [
        ("tenant=acme", {"tenant": "acme"}, True),
        ("tenant=acme", {"tenant": "other"}, False),
        ("tags.channel=phone", {"tags": {"channel": "phone"}}, True),
        ("tags.channel=phone", {"tags": {"channel": "chat"}}, False),
        ("tags.team=a", {"tags": {"team": "a"}}, False),
        # Noon of the tests is a Monday's.
        ("day=weekday", {}, True),
        ("day=weekend", {}, False),
        ("day=weekend", {"minute": timedelta(days=5) / timedelta(minutes=1)}, True),
    ],
)
async def test_calls_of_a_withheld_group_never_reach_the_student(
    group: str, call_: dict[str, Any], withheld: bool
) -> None:
    world = World(withholding(groups=(group,)), watch=("tenant", "tags.channel"))
    assert await world.told(**call_) == (("teacher", "withheld") if withheld else ("student", "promoted"))
    assert (world.student.asked == 0) is withheld


async def test_a_group_withheld_while_the_student_was_asked_is_not_served() -> None:
    world = World(withholding(), watch=("tenant",))
    later = withholding(groups=("tenant=acme",)).model_copy(update={"at": withholding().at + timedelta(minutes=1)})
    world.student.happens = lambda: setattr(world.desk, "table", world.desk.table.apply(later))
    assert await world.told(tenant="acme") == ("teacher", "withheld")


async def test_a_field_that_is_not_watched_any_more_withholds_nothing() -> None:
    world = World(withholding(groups=("tenant=acme",)), watch=())
    assert await world.told(tenant="acme") == ("student", "promoted")


# Spot checks


def spot_checked(world: World) -> list[bool]:
    return [e.route.spot_check for e in world.book.events if e.origin == "live" and e.route is not None]


async def test_the_first_of_an_answer_is_audited_though_it_was_not_drawn() -> None:
    world = World(make_promotion(spot_checks=True))
    for number in range(3):
        await world.told(number=number, text=word_for(number))
    await world.desk.wait_idle()
    assert spot_checked(world) == [True, False, False]
    [audit] = [event for event in world.book.events if event.origin == "audit"]
    assert audit.audits == "call-0"
    assert world.book.events[0].route is not None
    assert world.book.events[0].route.drawn is False


async def test_a_call_that_is_drawn_and_checked_is_audited_once() -> None:
    world = World(make_promotion(spot_checks=True, audit_rate=1.0))
    await world.told(draw=0.0)
    await world.desk.wait_idle()
    live, audit = world.book.events
    assert live.route is not None
    assert (live.route.drawn, live.route.spot_check, audit.origin) == (True, True, "audit")


async def test_without_the_word_of_the_promotion_nothing_is_spot_checked() -> None:
    world = World(make_promotion())
    await world.told()
    await world.desk.wait_idle()
    assert spot_checked(world) == [False]
    assert [event.origin for event in world.book.events] == ["live"]


async def test_an_answer_that_was_not_served_does_not_count_as_checked() -> None:
    world = World(make_promotion(spot_checks=True))
    world.student.reply = text_answer("refund", 0.1)
    await world.told(number=0, text=word_for(0))
    world.student.reply = text_answer("refund", 0.9)
    await world.told(number=1, text=word_for(1))
    assert spot_checked(world) == [False, True]
