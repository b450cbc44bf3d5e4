"""The first answers of a student in a router: compared, and not given."""

import asyncio
import logging
from typing import Any

import pytest
from tests.support.router_fixtures import (
    NOON,
    FixedStudent,
    FixedTeacher,
    InvocationCollector,
    StubLoader,
    make_call,
    make_promotion,
    word_for,
)

from understudies.events import Message
from understudies.router.budgets.call_budget import BudgetExceeded, NoBudget
from understudies.router.budgets.reservation import Reservation
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.call_service import CallService
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.serving.teacher_agreement import is_same_answer
from understudies.router.settings import ServingLimits

SAME, OTHER = "teacher's answer", "another answer"


class World:
    """A desk where a student is new; its answers are compared three times before any is given."""

    def __init__(self, says: str = SAME, confidence: float = 0.9, **promoted: Any) -> None:
        self.student = FixedStudent(says, confidence)
        self.teacher, self.book, self.number = FixedTeacher(), InvocationCollector(), 0
        self.desk = CallService(
            teacher=self.teacher,
            student_registry=StudentRegistry(StubLoader(self.student)),
            record=self.book,
            table=RoutingTable().apply(make_promotion(**promoted)),
            limits=ServingLimits(probation_calls=3),
            timer=lambda: 0.0,
        )

    async def serve(self, calls: int) -> list[str]:
        """Who served so many calls on different texts."""
        first = len(self.book.events)
        for _ in range(calls):
            self.number += 1
            await self.desk.serve(make_call(self.number, f"{word_for(self.number)} {word_for(1000 + self.number)}"))
            await self.desk.wait_idle()
        return [event.served_by for event in self.book.events[first:] if event.origin == "live"]


async def test_a_new_student_serves_once_it_has_said_the_same_often_enough() -> None:
    world = World()
    assert await world.serve(5) == ["teacher"] * 3 + ["student"] * 2


async def test_meanwhile_the_calls_are_a_control_group_without_regard_to_confidence() -> None:
    world = World()
    await world.serve(3)
    assert {event.route.reason for event in world.book.events if event.route} == {"control"}
    assert all(event.unbiased for event in world.book.events)
    assert all(event.confidence is None for event in world.book.events)


async def test_calls_outside_its_share_are_compared_too() -> None:
    world = World(share=0.0)
    await world.serve(3)
    assert world.student.asked == 3
    await world.serve(2)
    assert world.student.asked == 3


async def test_a_student_whose_path_spoils_its_answers_serves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World(OTHER)
    with caplog.at_level(logging.WARNING):
        assert set(await world.serve(12)) == {"teacher"}
    assert "serves nothing" in caplog.text
    assert "0 of 3 calls" in caplog.text


async def test_what_it_is_not_sure_of_is_not_compared() -> None:
    world = World(confidence=0.5)
    assert set(await world.serve(6)) == {"teacher"}
    world.student.reply = FixedStudent(SAME).reply
    assert await world.serve(4) == ["teacher"] * 3 + ["student"]


async def test_a_student_that_fails_is_not_compared_and_nobody_notices() -> None:
    world = World()
    world.student.reply = RuntimeError("gone")
    assert set(await world.serve(4)) == {"teacher"}


async def test_a_successor_is_tried_anew() -> None:
    world = World()
    await world.serve(4)
    world.desk.table = world.desk.table.apply(make_promotion(student="triage@2", minute=5))
    assert await world.serve(4) == ["teacher"] * 3 + ["student"]


async def test_without_money_for_the_teacher_it_answers_nothing_yet() -> None:
    class Broke(NoBudget):
        async def reserve(self, call: object) -> Reservation | None:
            raise BudgetExceeded("nothing is left", resets_at=NOON, now=NOON, student_allowed=True)

    world = World()
    world.desk._budget = Broke()
    with pytest.raises(BudgetExceeded):
        await world.serve(1)
    assert world.student.asked == 0


async def test_closing_ends_a_comparison() -> None:
    world = World()
    world.student.asleep = True
    await world.desk.serve(make_call(1))
    await asyncio.wait_for(world.desk.close(0.1), 5)


@pytest.mark.parametrize(
    ("judge", "teacher", "student", "same"),
    [
        (None, "Card_Arrival.", "card arrival", True),
        (None, "card arrival", "card lost", False),
        ("exact", "Card arrival", "card arrival", False),
        ("numeric", "$1,250", "1250", True),
    ],
)
def test_answers_are_compared_by_the_judge_of_the_trial(judge: str, teacher: str, student: str, same: bool) -> None:
    told = [Message(role="assistant", content=text) for text in (teacher, student)]
    assert is_same_answer(judge, *told) is same
