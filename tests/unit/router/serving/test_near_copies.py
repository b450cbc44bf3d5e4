"""Near copies of a text within a day: confirmed by the teacher before they are served freely."""

from dataclasses import replace
from datetime import date, timedelta

from tests.support.distinct_words import distinct_words
from tests.support.router_fixtures import (
    FixedStudent,
    FixedTeacher,
    InvocationCollector,
    StubLoader,
    make_call,
    make_promotion,
    word_for,
)

from understudies.events import Message, Request
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.call_service import CallService
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.serving.teacher_agreement import NearCopyGuard
from understudies.router.settings import ServingLimits
from understudies.students.base import text_answer

SAME, OTHER = "teacher's answer", "another answer"
INCIDENT = "the page of order {} shows an error again and again since this morning"


class World:
    """A desk where a student serves all calls, by what it says."""

    def __init__(self, says: str) -> None:
        self.student, self.teacher, self.book = FixedStudent(says), FixedTeacher(), InvocationCollector()
        self.number = 0
        self.desk = CallService(
            teacher=self.teacher,
            student_registry=StudentRegistry(StubLoader(self.student)),
            record=self.book,
            table=RoutingTable().apply(make_promotion()),
            limits=ServingLimits(),
            timer=lambda: 0.0,
        )

    async def serve(self, calls: int, text: str = INCIDENT, days: int = 0) -> list[str]:
        """Who served so many near copies, by the first letter."""
        served = []
        for _ in range(calls):
            self.number += 1
            one = make_call(self.number, text.format(100 + self.number))
            await self.desk.serve(replace(one, at=one.at + timedelta(days=days)))
            served.append(self.book.events[-1].served_by[0])
        return served


async def test_an_incident_that_the_student_gets_wrong_is_served_twice() -> None:
    world = World(OTHER)
    assert "".join(await world.serve(60)) == "ss" + 58 * "t"
    last = world.book.events[-1]
    assert last.route is not None
    assert (last.route.reason, last.unbiased) == ("unconfirmed", False)
    assert last.student == "triage@1"


async def test_one_that_the_teacher_confirms_twice_is_served() -> None:
    assert "".join(await World(SAME).serve(8)) == "ssttssss"


async def test_other_texts_are_served_meanwhile() -> None:
    world = World(OTHER)
    await world.serve(5)
    assert await world.serve(1, f"{word_for(1)} {word_for(2)} {word_for(3)}") == ["s"]


async def test_one_that_differs_in_a_word_is_a_near_copy() -> None:
    world = World(OTHER)
    await world.serve(2)
    assert await world.serve(1, INCIDENT.replace("morning", "night")) == ["t"]


async def test_what_was_not_confirmed_yet_is_free_again_the_next_day() -> None:
    world = World(OTHER)
    await world.serve(2)
    assert "".join(await world.serve(3, days=1)) == "sst"


async def test_what_the_teacher_did_not_confirm_stays_with_it() -> None:
    world = World(OTHER)
    await world.serve(3)
    assert "".join(await world.serve(3, days=1)) == "ttt"


async def test_what_it_confirmed_is_served_on_other_days() -> None:
    world = World(SAME)
    await world.serve(4)
    assert "".join(await world.serve(9, days=1)) == 9 * "s"


async def test_a_successor_is_confirmed_anew() -> None:
    world = World(SAME)
    await world.serve(5)
    world.desk.table = world.desk.table.apply(make_promotion(student="triage@2", minute=5))
    assert "".join(await world.serve(4)) == "sstt"


async def test_disagreements_are_outweighed_by_twenty_agreements_each() -> None:
    world = World(OTHER)
    await world.serve(3)
    world.student.reply = text_answer(SAME, 0.9)
    assert "".join(await world.serve(24)) == 22 * "t" + "ss"


async def test_inputs_of_the_head_are_proven_by_themselves() -> None:
    world = World(OTHER)
    world.desk.table = RoutingTable().apply(make_promotion(head_threshold=0.5))
    world.student.reply = replace(text_answer(OTHER, 0.9), head="text:1")
    assert "".join(await world.serve(9)) == 9 * "s"


async def test_a_fallback_confirms_nothing() -> None:
    class Fallback(FixedTeacher):
        async def ask(self, call, *, fresh=False):  # type: ignore[no-untyped-def]
            return replace(await super().ask(call, fresh=fresh), fallback=True)

    world = World(SAME)
    world.desk._teacher = Fallback()
    assert "".join(await world.serve(6)) == "sstttt"


def group_counts(guard: NearCopyGuard) -> dict[str, int]:
    """How many groups are kept, by student."""
    return {student: len(groups._copies) for student, groups in guard._students.items()}


def request(text: str) -> Request:
    return Request(messages=(Message(role="user", content=text),))


def test_texts_without_an_answer_are_forgotten_as_the_next_day_goes_on() -> None:
    guard, day = NearCopyGuard(), date(2026, 1, 5)
    for number in range(100):
        assert guard.admit_call("triage@1", request(distinct_words(number)), day)
    assert group_counts(guard) == {"triage@1": 100}
    for number in range(100):
        assert guard.admit_call("triage@1", request(distinct_words(1000 + number)), day + timedelta(days=1))
    assert group_counts(guard) == {"triage@1": 100}


async def test_a_confirmed_text_is_kept_while_others_are_forgotten() -> None:
    world = World(SAME)
    await world.serve(4)
    for number in range(30):
        await world.serve(1, distinct_words(number), days=1)
    assert "".join(await world.serve(9, days=2)) == 9 * "s"


def test_the_texts_of_a_student_that_nobody_asks_any_more_are_forgotten() -> None:
    guard, day = NearCopyGuard(), date(2026, 1, 5)
    guard.admit_call("triage@1", request("one"), day)
    guard.admit_call("triage@2", request("one"), day + timedelta(days=7))
    assert set(group_counts(guard)) == {"triage@1", "triage@2"}
    guard.admit_call("triage@2", request("two"), day + timedelta(days=8))
    assert set(group_counts(guard)) == {"triage@2"}


def test_a_clock_that_was_ahead_for_a_while_lets_no_incident_pass() -> None:
    guard = NearCopyGuard()
    ahead, today = date(2031, 1, 1), date(2026, 11, 2)
    for day in (ahead, today):
        assert guard.admit_call("triage@1", request("a text of its own"), day)
    same = [guard.admit_call("triage@1", request(INCIDENT.format(number)), today) for number in range(5)]
    assert same == [True, True, False, False, False]
