"""What comes up while a call is at the desk: alarms, rules that change, callers who hang up, teachers that fail."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tests.support.chat_messages import user_request
from tests.support.router_fixtures import (
    FixedStudent,
    FixedTeacher,
    InvocationCollector,
    StubLoader,
    make_call,
    make_drift,
    make_promotion,
)
from tests.support.unreliable_online import UnreliableOnlineState

from understudies.events import Event, Invocation, Promotion, Request, usd
from understudies.redaction.patterns import default_redactor
from understudies.router.budgets.call_budget import BudgetExceeded, EnforcedBudget
from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import BudgetLimits
from understudies.router.call import Call, TeacherAnswer, TeacherError
from understudies.router.serving.call_lifecycle import CLIENT_DISCONNECTED
from understudies.router.serving.call_service import CallService
from understudies.router.serving.episode_affinity import EpisodeAffinity
from understudies.router.serving.response_cache import CacheStore, ResponseCache
from understudies.router.serving.route_selector import RouteSelector
from understudies.router.serving.student_registry import StudentRegistry
from understudies.router.settings import ServingLimits
from understudies.runtime.online.memory import MemoryOnlineState
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.students.base import Answer, text_answer

PRICE = Decimal("0.03")
BUDGET: dict[str, Any] = {"daily_budget_usd": "1"}


class Interrupted(FixedStudent):
    """Answers after something has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: Callable[[], None] = lambda: None

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        answers = await super().answer(requests)
        self.happens()
        return answers


class Stuck(MemoryOnlineState):
    """Does what is asked up to a kind of question, and answers that no more."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at
        self.reached = asyncio.Event()

    async def get(self, key: str) -> bytes | None:
        await self._pass("get")
        return await super().get(key)

    async def get_or_put(self, key: str, value: str, ttl_s: float) -> str:
        await self._pass("step" if value.startswith("call-") else "pin")
        return await super().get_or_put(key, value, ttl_s)

    async def _pass(self, what: str) -> None:
        if what == self._at:
            self.reached.set()
            await asyncio.Event().wait()


class World:
    """A desk with rules for the task, a student, a teacher and a book."""

    def __init__(
        self, *events: Event, online: MemoryOnlineState | None = None, rate: float = 0.0, **rules: Any
    ) -> None:
        self.student = Interrupted()
        self.teacher = FixedTeacher()
        self.book = InvocationCollector()
        online = online or MemoryOnlineState()
        self.in_force = self.told(**rules)
        roster = StudentRegistry(StubLoader(self.student))
        self.budgets = BudgetLimiter(online, BudgetLimits.from_rules(self.in_force))
        self.desk = CallService(
            teacher=self.teacher,
            student_registry=roster,
            record=self.book,
            limits=ServingLimits(self_agreement_rate=rate),
            rules=self,
            route_selector=RouteSelector(roster, affinity=EpisodeAffinity(online, wait_s=60.0)),
            budget=EnforcedBudget(self.budgets, lambda _, __: PRICE),
            response_cache=ResponseCache(CacheStore(online)),
            timer=lambda: 0.0,
        )
        for event in events:
            self.hear(event)

    def told(self, **rules: Any) -> Rules:
        return Rules.model_validate({"tasks": {"triage": rules}})

    def for_task(self, task: str) -> TaskRules:
        return self.in_force.for_task(task)

    def retirements(self) -> Mapping[str, date | None]:
        return self.in_force.retirements()

    def successor_of(self, model: str) -> str | None:
        return self.in_force.successor_of(model)

    def hear(self, event: Event) -> None:
        self.desk.table = self.desk.table.apply(event)

    @property
    def event(self) -> Invocation:
        (event,) = self.book.events
        return event


def reason_of(event: Invocation) -> str:
    assert event.route is not None
    return event.route.reason


@pytest.mark.parametrize(
    "event",
    [
        make_drift(minute=1),
        make_promotion("demoted", minute=1, share=0.0),
        make_promotion(minute=1, student="triage@2", artifact="memory://students/other"),
    ],
    ids=["drift", "demoted", "succeeded"],
)
async def test_a_student_that_left_while_it_was_asked_does_not_serve(event: Event) -> None:
    world = World(make_promotion())
    world.student.happens = lambda: world.hear(event)
    served = await world.desk.serve(make_call())
    assert served.response.message.text == "teacher's answer"
    assert (world.event.served_by, reason_of(world.event), world.event.confidence) == ("teacher", "not_allowed", 0.9)
    assert world.event.cost_usd == Decimal("0.0102")
    assert not world.event.unbiased


async def test_a_threshold_that_rose_meanwhile_holds() -> None:
    world = World(make_promotion())
    world.student.happens = lambda: world.hear(make_promotion(minute=1, threshold=0.95))
    await world.desk.serve(make_call())
    assert (world.event.served_by, reason_of(world.event)) == ("teacher", "low_confidence")


async def test_a_share_that_shrank_meanwhile_does_not_matter() -> None:
    world = World(make_promotion())
    world.student.happens = lambda: world.hear(make_promotion(minute=1, share=0.01))
    await world.desk.serve(make_call())
    assert world.event.served_by == "student"


@pytest.mark.parametrize(
    ("rules", "reason"), [({"critical": True}, "critical"), ({"students": ["cache"]}, "not_allowed")]
)
async def test_rules_that_changed_while_a_student_was_asked_hold(rules: dict[str, Any], reason: str) -> None:
    world = World(make_promotion())

    def change() -> None:
        world.in_force = world.told(**rules)

    world.student.happens = change
    await world.desk.serve(make_call())
    assert (world.event.served_by, reason_of(world.event)) == ("teacher", reason)


def last_resort(*events: Promotion) -> World:
    world = World(*(events or (make_promotion(audit_rate=1.0),)), escalation="teacher_or_student")
    world.student.reply = text_answer("a guess", 0.5)
    world.teacher.error = TeacherError(503, "gone", cost_usd=usd("0.004"))
    return world


async def test_an_answer_of_the_last_resort_is_served_and_no_evidence_against_the_student() -> None:
    world = last_resort()
    served = await world.desk.serve(make_call(draw=0.0))
    await world.desk.wait_idle()
    assert served.response.message.text == "a guess"
    assert (world.event.served_by, reason_of(world.event)) == ("student", "low_confidence")
    assert world.event.route is not None
    assert world.event.route.audit_probability == 0.0
    assert world.event.cost_usd == Decimal("0.0042")


async def test_the_last_resort_keeps_to_the_form_that_was_asked_for() -> None:
    world = last_resort()
    with pytest.raises(TeacherError, match="gone"):
        await world.desk.serve(
            make_call(request=user_request("hello").model_copy(update={"response_format": {"type": "json_object"}}))
        )
    assert world.event.served_by == "none"


async def test_a_student_that_drifted_is_no_last_resort() -> None:
    world = last_resort()
    world.student.happens = lambda: world.hear(make_drift())
    with pytest.raises(TeacherError, match="gone"):
        await world.desk.serve(make_call())
    assert world.event.served_by == "none"


async def test_replicas_agree_on_the_variant_of_an_episode() -> None:
    online = MemoryOnlineState()
    here, there = World(make_promotion(), online=online), World(make_promotion(share=0.0), online=online)
    await here.desk.serve(make_call(episode="e"))
    await there.desk.serve(make_call(1, episode="e"))
    await there.desk.serve(make_call(2, episode="another"))
    assert [event.served_by for event in there.book.events] == ["student", "teacher"]


@pytest.mark.parametrize("at", ["get", "pin", "step"])
async def test_a_caller_who_hangs_up_while_the_online_state_is_asked_is_recorded(at: str) -> None:
    online = Stuck(at)
    rules: dict[str, Any] = {"cache_ttl_s": 60, "episode_target": 0.9, "episode_steps": 2}
    world = World(make_promotion(levels=((0.95, 0.8),)), online=online, **rules)
    body = {"temperature": 0, "messages": []}
    task = asyncio.create_task(world.desk.serve(make_call(episode="e", body=body, accepts_cached=True)))
    await online.reached.wait()
    task.cancel(CLIENT_DISCONNECTED)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (world.event.served_by, world.event.hung_up) == ("none", True)
    assert world.event.cost_usd == Decimal("0.0002" if at == "step" else 0)


@pytest.mark.parametrize("promoted", [False, True])
async def test_a_caller_who_hangs_up_while_money_is_reserved_is_recorded_and_pays_nothing(promoted: bool) -> None:
    online = UnreliableOnlineState()
    online.reply_gate = asyncio.Event()
    world = World(*([make_promotion()] if promoted else []), online=online, **BUDGET)
    task = asyncio.create_task(world.desk.serve(make_call()))
    await online.reply_waiting.wait()
    task.cancel(CLIENT_DISCONNECTED)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (world.event.hung_up, world.event.cost_usd) == (True, Decimal(0))
    assert world.student.asked == len(world.teacher.calls) == 0


class Buggy(FixedTeacher):
    """Fails in a way that nobody expects."""

    async def ask(self, call: Any, *, fresh: bool = False) -> Any:
        raise RuntimeError("a bug")


async def test_whatever_goes_wrong_with_the_teacher_is_recorded_and_settled() -> None:
    world = World(**BUDGET)
    world.desk._teacher = Buggy()
    with pytest.raises(RuntimeError, match="a bug"):
        await world.desk.serve(make_call())
    assert (world.event.served_by, world.event.cost_usd) == ("none", PRICE)
    assert world.budgets.in_flight == 0


async def test_what_a_teacher_took_but_did_not_count_costs_what_was_set_aside() -> None:
    world = World(**BUDGET)
    world.teacher.error = TeacherError(200, "not an answer", raw=b'{"status": "queued"}')
    with pytest.raises(TeacherError):
        await world.desk.serve(make_call())
    assert world.event.cost_usd == PRICE


async def test_what_the_provider_keeps_or_does_itself_is_not_asked_of_it_twice() -> None:
    world = World(rate=1.0)
    request = user_request("hello").model_copy(update={"parameters": {"conversation": "conv_1"}})
    await world.desk.serve(make_call(request=request))
    await world.desk.wait_idle()
    assert len(world.teacher.calls) == 1
    assert world.event.route is not None
    assert world.event.route.audit_probability == 0.0


async def test_a_body_too_large_for_students_is_the_teachers_whether_there_is_a_student_or_not() -> None:
    for world in (World(make_promotion()), World()):
        await world.desk.serve(make_call(raw=b"x" * 1_000_001))
        assert (world.event.served_by, reason_of(world.event)) == ("teacher", "unsuitable")


async def test_a_large_body_is_redacted_beside_the_other_calls() -> None:
    world = World(make_promotion(audit_rate=1.0))
    await world.desk.serve(make_call(raw=b"x" * 500_000))
    await world.desk.wait_idle()
    assert [event.served_by for event in world.book.events] == ["student", "teacher"]


async def test_a_call_that_asks_for_the_impossible_is_over_budget() -> None:
    world = World(**BUDGET)
    wallet = EnforcedBudget(world.budgets, lambda _, __: Decimal("1e13"))
    with pytest.raises(BudgetExceeded, match="is spent"):
        await wallet.reserve(make_call())


async def test_names_with_personal_data_are_redacted_and_episodes_stay_apart() -> None:
    book = InvocationCollector()
    desk = CallService(
        teacher=FixedTeacher(), student_registry=StudentRegistry(StubLoader(None)), record=book, redact=default_redactor
    )
    for number, episode in enumerate(("ann@example.com", "bob@example.com", "ann@example.com", "plain")):
        await desk.serve(make_call(number, episode=episode))
    first, second, again, plain = (event.episode for event in book.events)
    assert first is not None
    assert first.startswith("[EMAIL]-")
    assert first == again != second
    assert plain == "plain"


async def test_a_model_that_nobody_has_may_be_named_after_anything() -> None:
    book, teacher = InvocationCollector(), FixedTeacher()
    teacher.error = TeacherError(404, "no such model")
    desk = CallService(
        teacher=teacher, student_registry=StudentRegistry(StubLoader(None)), record=book, redact=default_redactor
    )
    with pytest.raises(TeacherError):
        await desk.serve(replace(make_call(), model="ann@example.com"))
    assert book.events[0].model == "[EMAIL]"


SPENT: dict[str, Any] = {"daily_budget_usd": "0.01"}
"""Less than the teacher's answer costs: it is never asked."""


@pytest.mark.parametrize("episode", [None, "mine"], ids=["control", "pinned"])
async def test_where_the_teacher_cannot_be_paid_a_student_serves_what_a_draw_or_an_episode_kept_from_it(
    episode: str | None,
) -> None:
    world = World(make_promotion(share=0.0, audit_rate=1.0), rate=0.0, **SPENT)
    if episode is not None:
        world.student.reply = text_answer("a guess", 0.1)
        with pytest.raises(BudgetExceeded):
            await world.desk.serve(make_call(episode=episode))
        world.student.reply = text_answer("student's answer", 0.9)
        world.hear(make_promotion(share=1.0, audit_rate=1.0, minute=1))
        world.book.events.clear()
    served = await world.desk.serve(make_call(1, episode=episode))
    await world.desk.wait_idle()
    event, audit = world.book.events
    assert served.response.message.text == "student's answer"
    assert (served.serving.served_by, served.serving.student) == ("student", "triage@1")
    assert (event.served_by, event.student, event.confidence, reason_of(event)) == (
        "student",
        "triage@1",
        0.9,
        "over_budget",
    )
    assert not event.unbiased
    # What it serves is watched, whyever it serves it.
    assert event.route is not None
    assert (event.route.audit_probability, audit.audits) == (1.0, event.id)


async def test_such_a_student_has_to_be_sure() -> None:
    world = World(make_promotion(share=0.0), **SPENT)
    world.student.reply = text_answer("a guess", 0.1)
    with pytest.raises(BudgetExceeded):
        await world.desk.serve(make_call())
    assert world.teacher.calls == []
    assert (world.event.served_by, reason_of(world.event), world.event.confidence) == ("none", "over_budget", 0.1)
    assert world.event.cost_usd == world.desk.limits.student_price_usd


@pytest.mark.parametrize(
    ("rules", "fields"),
    [
        ({"over_budget": "refuse"}, {}),
        ({"critical": True}, {}),
        ({"students": []}, {}),
        ({}, {"critical": True}),
        ({}, {"raw": b"x" * 1_000_001}),
        ({"episode_target": 0.9, "episode_steps": 2}, {"episode": "mine"}),
    ],
    ids=["refuse", "critical", "not allowed", "critical call", "unsuitable", "episode's target"],
)
async def test_and_it_must_be_one_that_may_serve(rules: dict[str, Any], fields: dict[str, Any]) -> None:
    world = World(make_promotion(share=0.0), **{**SPENT, **rules})
    with pytest.raises(BudgetExceeded):
        await world.desk.serve(make_call(**fields))
    assert world.student.asked == 0
    assert (world.event.served_by, reason_of(world.event)) == ("none", "over_budget")


async def test_after_a_drift_it_is_not_asked_either() -> None:
    world = World(make_promotion(share=0.0), make_drift(), **SPENT)
    with pytest.raises(BudgetExceeded):
        await world.desk.serve(make_call())
    assert world.student.asked == 0


class Flaky(FixedTeacher):
    """Answers at the third attempt; the first two were accepted."""

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        return replace(await super().ask(call, fresh=fresh), unproductive_attempts=2)


async def test_attempts_in_vain_are_paid_and_are_not_typical() -> None:
    world = World(rate=1.0, daily_budget_usd="100")
    world.desk._teacher = world.desk._audits._teacher = Flaky()
    for number in range(6):
        await world.desk.serve(make_call(number, draw=0.0))
        await world.desk.wait_idle()
    assert [event.cost_usd for event in world.book.events] == [Decimal("0.01") + 2 * PRICE] * 12
    wallet = world.desk._budget
    assert isinstance(wallet, EnforcedBudget)
    assert wallet.estimate_cost(make_call()) == PRICE


class Overheard(FixedTeacher):
    """Is hung up on, every time, after a part of the answer."""

    async def ask(self, call: Call, *, fresh: bool = False) -> TeacherAnswer:
        return replace(await super().ask(call, fresh=fresh), client_disconnected=True)


async def test_parts_of_answers_are_not_typical() -> None:
    world = World(daily_budget_usd="100")
    world.desk._teacher = Overheard()
    for number in range(6):
        await world.desk.serve(make_call(number))
    assert world.desk._budget.estimate_cost(make_call()) == PRICE
